#ifndef EFDSHIM_BENCH_CORE_H
#define EFDSHIM_BENCH_CORE_H

/* The calling thread stays on one of the cores that the program may use: 0 is the first of them. */
void pin_to_core(int which);

#endif
