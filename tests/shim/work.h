/* A round of everything that programs do with eventfds, to be run wherever it is doubtful that it
 * works. */
#ifndef WORK_H
#define WORK_H

/* Ends the process with a line on stderr where something goes wrong. `flags` of work_parts. */
void work(unsigned parts);

enum work_parts {
	WORK_COUNTERS = 1, /* read, write, poll, select, epoll, dup, close */
	WORK_THREADS = 2,  /* blocking calls, woken by another thread */
	WORK_FORK = 4,	   /* a child that writes */
	WORK_ALL = 7,
};

/* Everything one eventfd that was made before can be asked for; it is empty and non-blocking, and
 * so it is left. */
void work_with(int fd);

#endif
