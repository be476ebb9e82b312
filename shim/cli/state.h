/* The user's store as the verbs that look at it see it. */
#ifndef EFDSHIM_CLI_STATE_H
#define EFDSHIM_CLI_STATE_H

#include <stdbool.h>

/* Reads --dir DIR and --help; false where the verb is done, with *code to exit with. */
bool state_options(const char *verb, int argc, char **argv, int *code);

/* The directory that programs would use now, once config is loaded; NULL where it is yet to be
 * made.
 */
const char *state_find(void);

/* Opens the store; false where there is none, or it was refused, with *code to exit with. Makes
 * nothing. */
bool state_open(int *code);

#endif
