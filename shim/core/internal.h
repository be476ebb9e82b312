/* Fds the library keeps for itself: high (beyond the program's limit, where that can be had),
 * close-on-exec, and not open as far as the program can tell. */
#ifndef EFDSHIM_CORE_INTERNAL_H
#define EFDSHIM_CORE_INTERNAL_H

/* Moves `fd`, which was opened for a moment, up and notes it as internal. Returns the new number,
 * or -errno; `fd` is closed either way. */
int internal_adopt(int fd);

/* The same for a duplicate: `fd` stays open. */
int internal_dup(int fd);

/* Closes an internal fd. */
void internal_close(int fd);

/* The program wants `fd` for itself (dup2 onto it): the library's file moves elsewhere. */
void internal_move_away(int fd);

/* In a forked child: another thread may have been raising the limit. */
void internal_forked(void);

#endif
