/* Counts the system calls of a child between marks, as a tracer, so that nothing before them is
 * slowed down. */
#ifndef CALLCOUNT_H
#define CALLCOUNT_H

enum { CALLCOUNT_MOST = 32 };

/* In the child: from now on it is traced; a mark ends the counting of one step and begins the
 * next. */
void callcount_begin(void);
void callcount_mark(void);

/* In the parent, until the child ends: how many steps, with the calls of each; -1 where the kernel
 * does not let us. */
int callcount_follow(int child, long calls[CALLCOUNT_MOST]);

#endif
