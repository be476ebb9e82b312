/* What every open by path ends with. */
#ifndef EFDSHIM_INTERPOSE_OPEN_H
#define EFDSHIM_INTERPOSE_OPEN_H

/* `fd` is what the real call returned, -1 included; what the program gets. */
int open_done(int fd, const char *path, int flags);

#endif
