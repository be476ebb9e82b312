/* The fd of an object's own FIFO, for a settle: the program's own, which another thread may close
 * meanwhile, or one of the library's. */
#ifndef EFDSHIM_CORE_FIFOLOAN_H
#define EFDSHIM_CORE_FIFOLOAN_H

#include <stdbool.h>

#include "core/fdtable.h"

struct fifo_loan {
	int fd;	     /* or -errno */
	bool opened; /* an fd of its own, rather than the pinned one of the program */
	bool lent;   /* a reference's, which is not pinned */
};

/* Pins the fd or, where it was closed meanwhile, opens another one. */
struct fifo_loan fifoloan_borrow(const struct fdref *ref);
void fifoloan_return(const struct fdref *ref, struct fifo_loan loan);

#endif
