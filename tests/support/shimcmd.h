/* The efdshim command, asked about the objects that are alive. Needs no Criterion. */
#ifndef SHIMCMD_H
#define SHIMCMD_H

#include <stdbool.h>

/* True where the shim serves this process and EFDSHIM names the command. */
bool shimcmd_there(void);

/* What `efdshim VERB` prints, in a buffer of its own; *status is that of its end. The command runs
 * without the shim. */
const char *shimcmd_say(const char *verb, int *status);

int shimcmd_lines(const char *text);
/* The first number in the text; -1 where there is none. */
long shimcmd_number(const char *text);

#endif
