#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "server/bar.h"

#define NS_PER_S     UINT64_C(1000000000)
#define BAR_EVERY_NS (NS_PER_S / 10)
#define LINE_EVERY_S 5
#define MIB          (1024.0 * 1024.0)
#define AMOUNT_SIZE  96

void pd_progress_init(struct pd_progress *progress, struct pd_os *os, const char *what)
{
	*progress = (struct pd_progress){ .os = os, .what = what, .started_ns = pd_os_monotonic_ns(os) };
	progress->printed_ns = progress->started_ns;
	progress->terminal = isatty(STDERR_FILENO) == 1;
}

/* "12 of 40 MiB", "12 of 40 actors, 3 a second" */
static void name_amount(const struct pd_progress *progress, uint64_t done, uint64_t total, double elapsed_s,
			char text[AMOUNT_SIZE])
{
	if (progress->unit == NULL)
		(void)snprintf(text, AMOUNT_SIZE, "%.0f of %.0f MiB", (double)done / MIB,
			       (double)total / MIB);
	else
		(void)snprintf(text, AMOUNT_SIZE, "%" PRIu64 " of %" PRIu64 " %s, %.0f a second", done, total,
			       progress->unit, elapsed_s > 0 ? (double)done / elapsed_s : 0);
}

static void draw_bar(const struct pd_progress *progress, double share, const char *amount, double left_s)
{
	char bar[PD_BAR_WIDTH + 1];

	pd_bar_fill(bar, share);
	(void)fprintf(stderr, "\r%s [%s] %3.0f%%  %s  %.0f s left\033[K", progress->what, bar, 100 * share,
		      amount, left_s);
	(void)fflush(stderr);
}

void pd_progress_show(struct pd_progress *progress, uint64_t done, uint64_t total)
{
	uint64_t now_ns = pd_os_monotonic_ns(progress->os);
	uint64_t every_ns = progress->terminal ? BAR_EVERY_NS : LINE_EVERY_S * NS_PER_S;
	double share, elapsed_s, left_s;
	char amount[AMOUNT_SIZE];

	if (now_ns - progress->printed_ns < every_ns || total == 0)
		return;
	progress->printed_ns = now_ns;
	share = pd_bar_share(done, total);
	elapsed_s = (double)(now_ns - progress->started_ns) / (double)NS_PER_S;
	left_s = pd_bar_seconds_left(done, total, elapsed_s);
	name_amount(progress, done, total, elapsed_s, amount);
	if (progress->terminal)
		draw_bar(progress, share, amount, left_s);
	else
		(void)fprintf(stderr, "%s: %.0f%%, %s, %.0f s left\n", progress->what, 100 * share, amount,
			      left_s);
	progress->drawn = true;
}

void pd_progress_done(struct pd_progress *progress)
{
	if (progress->terminal && progress->drawn)
		(void)fputs("\r\033[K", stderr);
}
