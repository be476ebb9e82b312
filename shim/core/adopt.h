/* Numbers that came from elsewhere: inherited over exec, received in a message, or not to be
 * trusted because a vfork child asks. The kernel says which object is open there. */
#ifndef EFDSHIM_CORE_ADOPT_H
#define EFDSHIM_CORE_ADOPT_H

#include <stdbool.h>

#include "core/fdtable.h"

/* The object whose own FIFO is open as fd; false where it is none. Changes no table. */
bool adopt_identify(int fd, struct fdref *ref);

/* `fd` is a number that this process was just given. Where it is a fake fd it is one from now on;
 * what was known of the number before is forgotten. Returns fd. */
int adopt_number(int fd);

/* At load: the fake fds that were open already. */
void adopt_inherited(void);

/* In a child forked while the table was doubtful: nothing in it is believed but the library's own
 * numbers. */
void adopt_anew(void);

/* Libc may have replaced the number by itself: forgets what it was, if it is that no more. */
void adopt_check(int fd);

#endif
