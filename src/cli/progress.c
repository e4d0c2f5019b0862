#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "server/bar.h"

#define NS_PER_S     UINT64_C(1000000000)
#define BAR_EVERY_NS (NS_PER_S / 10)
#define LINE_EVERY_S 5
#define MIB          (1024.0 * 1024.0)

void pd_progress_init(struct pd_progress *progress, struct pd_os *os, const char *what)
{
	*progress = (struct pd_progress){ .os = os, .what = what, .started_ns = pd_os_monotonic_ns(os) };
	progress->printed_ns = progress->started_ns;
	progress->terminal = isatty(STDERR_FILENO) == 1;
}

static void draw_bar(const struct pd_progress *progress, double share, double done, double total,
		     double left_s)
{
	char bar[PD_BAR_WIDTH + 1];

	pd_bar_fill(bar, share);
	(void)fprintf(stderr, "\r%s [%s] %3.0f%%  %.0f of %.0f MiB  %.0f s left\033[K", progress->what, bar,
		      100 * share, done / MIB, total / MIB, left_s);
	(void)fflush(stderr);
}

void pd_progress_show(struct pd_progress *progress, uint64_t done, uint64_t total)
{
	uint64_t now_ns = pd_os_monotonic_ns(progress->os);
	uint64_t every_ns = progress->terminal ? BAR_EVERY_NS : LINE_EVERY_S * NS_PER_S;
	double share, left_s;

	if (now_ns - progress->printed_ns < every_ns || total == 0)
		return;
	progress->printed_ns = now_ns;
	share = pd_bar_share(done, total);
	left_s = pd_bar_seconds_left(done, total, (double)(now_ns - progress->started_ns) / (double)NS_PER_S);
	if (progress->terminal)
		draw_bar(progress, share, (double)done, (double)total, left_s);
	else
		(void)fprintf(stderr, "%s: %.0f%%, %.0f of %.0f MiB, %.0f s left\n", progress->what,
			      100 * share, (double)done / MIB, (double)total / MIB, left_s);
	progress->drawn = true;
}

void pd_progress_done(struct pd_progress *progress)
{
	if (progress->terminal && progress->drawn)
		(void)fputs("\r\033[K", stderr);
}
