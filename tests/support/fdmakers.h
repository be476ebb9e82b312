/* Every way libc offers to get an fd that is not an eventfd. */
#ifndef FDMAKERS_H
#define FDMAKERS_H

enum fd_kind {
	FD_FILE,    /* an empty regular file, writable */
	FD_CHANNEL, /* what is written to fd_other can be read */
	FD_ELSE,
};

struct fd_maker {
	const char *name;
	enum fd_kind kind;
	int (*make)(
		int lowest); /* `lowest` is the lowest free number; -1 where the system has none */
	void (*release)(int fd); /* NULL: close */
};

extern const struct fd_maker fd_makers[];
extern const int fd_maker_count;

/* The other end of a channel; -1 if there is none. */
extern int fd_other;

/* Makes and removes what the makers need to stand ready before they are called. */
void fd_makers_prepare(void);
void fd_makers_finish(void);

#endif
