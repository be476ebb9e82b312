/* The directory that holds the segment files and the FIFOs: private to the user, on tmpfs where
 * there is one. */
#ifndef EFDSHIM_CORE_STORE_H
#define EFDSHIM_CORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Finds and verifies the directory, making it where needed; 0 or an errno value. Once it has
 * succeeded it is free. */
int store_open(void);

/* Opens a file of the directory by its name; an fd or -errno. */
int store_open_file(const char *name, int flags, unsigned mode);
int store_link(const char *from, const char *to);
void store_unlink(const char *name);

/* True where the file lies on the file system of the open store. */
bool store_holds(const struct stat *st);

/* True where `length` bytes could be the beginning of one of our FIFOs' paths. */
bool store_prefixes(const char *target, size_t length);

/* The directory's fd, and the length of its path. */
int store_directory(void);
size_t store_path_length(void);

/* Before something is made in the directory: false where it is gone. Somebody may have closed its
 * fd by a system call instruction. */
bool store_found_again(void);

/* In a forked child: whoever was opening the store is not here. */
void store_forked(void);

/* internal_move_away: the directory's fd has a new number. */
void store_fd_moved(int from, int to);

#endif
