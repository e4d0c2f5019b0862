/* How far long work is, as people read it: a bar, and the time that is left. */
#ifndef PD_SERVER_BAR_H
#define PD_SERVER_BAR_H

#include <stdint.h>

#define PD_BAR_WIDTH 30

/* "#########....................." for a share from 0 to 1. */
void pd_bar_fill(char bar[PD_BAR_WIDTH + 1], double share);
/* `done` of `total`; a total of 0 is all of it. */
double pd_bar_share(uint64_t done, uint64_t total);
/* Seconds that are probably left, after so many for what has been done; 0 where nobody knows. */
double pd_bar_seconds_left(uint64_t done, uint64_t total, double elapsed_s);

#endif
