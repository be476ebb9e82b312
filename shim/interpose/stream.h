/* Streams on fake fds. libc's own streams read and write where no interposed function sees it, so
 * these are cookie streams. */
#ifndef EFDSHIM_INTERPOSE_STREAM_H
#define EFDSHIM_INTERPOSE_STREAM_H

#include <stdbool.h>
#include <stdio.h>

/* fdopen(3) of a fake fd. */
FILE *stream_open(int fd, const char *mode);

/* False where the stream is libc's own; else *fd is its number. */
bool stream_is(FILE *stream, int *fd);

/* freopen(3) of such a stream. */
FILE *stream_reopen(FILE *stream, const char *path, const char *mode);

#endif
