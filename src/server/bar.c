#include "server/bar.h"

double pd_bar_share(uint64_t done, uint64_t total)
{
	return done < total ? (double)done / (double)total : 1;
}

void pd_bar_fill(char bar[PD_BAR_WIDTH + 1], double share)
{
	for (int i = 0; i < PD_BAR_WIDTH; i++)
		bar[i] = i + 0.5 < share * PD_BAR_WIDTH ? '#' : '.';
	bar[PD_BAR_WIDTH] = '\0';
}

double pd_bar_seconds_left(uint64_t done, uint64_t total, double elapsed_s)
{
	if (done == 0 || total <= done)
		return 0;
	return elapsed_s * (double)(total - done) / (double)done;
}
