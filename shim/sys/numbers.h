/* How far this process's fd numbers go. */
#ifndef EFDSHIM_SYS_NUMBERS_H
#define EFDSHIM_SYS_NUMBERS_H

#include <stdbool.h>

/* As many as a word of the kernel's has bits: the least that a process's table has room for. */
enum { NUMBERS_FEW = 64 };

/* True where no number from NUMBERS_FEW on is open; false also where that cannot be told cheaply.
 */
bool numbers_are_few(void);

#endif
