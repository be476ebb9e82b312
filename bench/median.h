#ifndef EFDSHIM_BENCH_MEDIAN_H
#define EFDSHIM_BENCH_MEDIAN_H

/* Sorts the values. */
double median(double *values, int count);

#endif
