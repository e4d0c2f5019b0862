/* `perdure top`: what a server does, live. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/target.h"
#include "cli/top_private.h"
#include "server/server.h"

#define ROWS_DEFAULT    24
#define COLUMNS_DEFAULT 80
#define HEADER_EVERY    20 /* lines */
#define NOTICE_SIZE     600

struct given {
	struct pd_target target;
	uint64_t interval_ms, count;
	bool json, lines;
};

#define AT(field) offsetof(struct given, field)

static const struct pd_option table[] = {
	PD_TARGET_OPTIONS(struct given),
	{ "interval", "SECONDS", PD_OPTION_INTERVAL_MS, AT(interval_ms), 100, 0,
	  "How often to look: 2 (default), 0.5, 500ms." },
	{ "count", "N", PD_OPTION_NUMBER, AT(count), 0, INT64_MAX,
	  "End after N of them (default 0: never)." },
	{ "lines", NULL, PD_OPTION_SWITCH, AT(lines), 0, 0,
	  "A line each time, at a terminal, too; elsewhere it is so anyway." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json: one object a line." },
};

static const struct pd_options options = {
	.command = "perdure top",
	.synopsis = "perdure top [options]",
	.about = "Shows what a server does: commands a second by class with the time that they take, the "
		 "actors\nthat most of them are about, groups and "
		 "syncs of the log, memory by part, clients and what they wait for, what is stored. At a "
		 "terminal\n"
		 "one screen, until q or Ctrl-C; elsewhere a line each time. Rates and times are those since "
		 "the\n"
		 "last look; p50 and p99 come from buckets of powers of two.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = PD_TARGET_ENVIRONMENT,
	.after = "Examples:\n"
		 "  perdure top\n"
		 "  perdure top --data /var/lib/perdure --interval 0.5\n"
		 "  perdure top -o json --count 1 --interval 10 | jq .commands.write\n"
		 "\n"
		 "Exit status:\n"
		 "  0  as many times as was asked for, or told to end\n"
		 "  1  there is no server, it was lost, or what was seen could not be written\n"
		 "  2  the command line is wrong",
};

struct top {
	const struct given *given;
	struct pd_os *os;
	struct pd_target target;
	struct pd_link link;
	struct pd_output output;
	struct pd_top_sample samples[2]; /* this one and the one before, in turn */
	struct pd_top_rates rates;
	unsigned now; /* index of this one */
	bool screen;  /* else lines or JSON */
	int resized; /* signalfd of SIGWINCH; what ends this is the link's interrupt, so nobody waits for a silent server */
	uint64_t shown;
	char notice[NOTICE_SIZE];
};

static int failed(const struct pd_error *err)
{
	(void)fprintf(stderr, "perdure top: %s\n", err->text);
	return PD_EXIT_FAILURE;
}

/* ---- looking ---- */

/* Connects where that is needed. */
static int look(struct top *top, struct pd_error *err)
{
	struct pd_top_sample *sample = top->samples + !top->now;
	int result = 0;

	if (pd_link_is_lost(&top->link)) {
		pd_link_close(&top->link);
		result = pd_target_connect(&top->target, top->os, &top->link, err);
	}
	if (result == 0)
		result = pd_top_take(sample, top->os, &top->link, err);
	if (result != 0) {
		pd_link_close(&top->link);
		return result;
	}
	top->now = !top->now;
	pd_top_compare(top->samples + !top->now, sample, &top->rates);
	return 0;
}

/* ---- showing ---- */

static void draw(struct top *top, const struct pd_top_view *view)
{
	unsigned rows = ROWS_DEFAULT, columns = COLUMNS_DEFAULT;
	struct winsize window;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0 && window.ws_col > 0) {
		rows = window.ws_row;
		columns = window.ws_col;
	}
	pd_top_draw(&top->output, view, rows, columns);
}

static bool show(struct top *top)
{
	const struct pd_top_view view = { .sample = top->samples + top->now,
					  .rates = &top->rates,
					  .server = top->link.name,
					  .interval_s = (double)top->given->interval_ms / 1000,
					  .notice = top->notice[0] != '\0' ? top->notice : NULL };

	if (top->screen)
		draw(top, &view);
	else if (top->given->json)
		pd_top_json(&top->output, &view);
	else
		pd_top_line(&top->output, &view, top->shown % HEADER_EVERY == 0);
	top->shown++;
	return pd_output_finish(&top->output);
}

/* ---- waiting ---- */

/* q, or a signal other than a resize, ends it; a resize is drawn at once. */
static bool told_to_end(struct top *top, const struct pollfd polled[3])
{
	struct signalfd_siginfo signal;
	char key;

	if (polled[0].revents != 0)
		return true;
	if (polled[1].revents != 0)
		return read(top->resized, &signal, sizeof signal) != (ssize_t)sizeof signal ||
		       (top->screen && !show(top));
	if (polled[2].revents != 0)
		return read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q' || key == 3;
	return false;
}

/* Until the next look. true: end. */
static bool wait(struct top *top)
{
	uint64_t until_ns = pd_os_monotonic_ns(top->os) + top->given->interval_ms * 1000000;
	struct pollfd polled[3] = { { .fd = top->link.interrupt, .events = POLLIN },
				    { .fd = top->resized, .events = POLLIN },
				    { .fd = STDIN_FILENO, .events = POLLIN } };

	for (;;) {
		uint64_t now_ns = pd_os_monotonic_ns(top->os);
		int count;

		if (now_ns >= until_ns)
			return false;
		count = poll(polled, top->screen ? 3 : 2, (int)((until_ns - now_ns) / 1000000) + 1);
		if (count < 0 && errno != EINTR)
			return true;
		if (count > 0 && told_to_end(top, polled))
			return true;
	}
}

/* ---- the loop ---- */

static int loop(struct top *top)
{
	const struct given *given = top->given;
	struct pd_error err = { 0 };
	uint64_t looks = 0;
	int result;

	/* The first look has nothing before it to compare with; a screen shows what there is all the same. */
	if (top->screen && !show(top))
		return PD_EXIT_FAILURE;
	while (given->count == 0 || looks < given->count) {
		if (wait(top))
			return PD_EXIT_OK;
		top->notice[0] = '\0';
		result = look(top, &err);
		if (result == PD_CANCELLED)
			return PD_EXIT_OK;
		if (result != 0) {
			if (!top->screen)
				return failed(&err);
			(void)snprintf(top->notice, sizeof top->notice, "NO ANSWER, trying again: %s",
				       err.text);
		}
		if (!show(top))
			return PD_EXIT_FAILURE;
		looks++;
	}
	return PD_EXIT_OK;
}

/* Signals as a descriptor: the terminal is put right whatever ends this. */
static int take_signals(struct top *top, struct pd_error *err)
{
	sigset_t ending, resizing, all;

	(void)sigemptyset(&resizing);
	(void)sigaddset(&resizing, SIGWINCH);
	(void)sigemptyset(&ending);
	(void)sigaddset(&ending, SIGINT);
	(void)sigaddset(&ending, SIGTERM);
	(void)sigaddset(&ending, SIGHUP);
	all = ending;
	(void)sigaddset(&all, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &all, NULL) != 0)
		return pd_error_system(err, errno, "cannot block signals");
	top->link.interrupt = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
	top->resized = signalfd(-1, &resizing, SFD_CLOEXEC | SFD_NONBLOCK);
	if (top->link.interrupt < 0 || top->resized < 0)
		return pd_error_system(err, errno, "cannot watch for signals");
	return 0;
}

/* A screen of its own, keys without a line end, and all put back afterwards. */
static int run_screen(struct top *top)
{
	struct termios before, keys;
	int status;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return loop(top);
	keys = before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &keys);
	pd_output_text(&top->output, "\033[?1049h\033[?25l\033[2J");
	status = loop(top);
	pd_output_text(&top->output, "\033[?25h\033[?1049l");
	(void)pd_output_finish(&top->output);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	return status;
}

static int run_top(struct top *top)
{
	struct pd_error err = { 0 };
	int status;

	if (pd_os_real_new(&top->os, &err) != 0)
		return failed(&err);
	/* The first look, while nothing is done to the terminal yet. */
	if (look(top, &err) != 0 || take_signals(top, &err) != 0)
		status = failed(&err);
	else
		status = top->screen ? run_screen(top) : loop(top);
	pd_link_close(&top->link);
	if (top->link.interrupt >= 0)
		(void)close(top->link.interrupt);
	if (top->resized >= 0)
		(void)close(top->resized);
	pd_os_free(top->os);
	return status;
}

static int run(int argc, char **argv)
{
	struct given given = { .interval_ms = 2000 };
	char password[PD_TARGET_PASSWORD_SIZE];
	struct pd_error err = { 0 };
	struct top *top;
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	if (pd_target_take_password(&given.target, password, &err) != 0)
		return failed(&err);
	top = pd_calloc(1, sizeof *top);
	if (top == NULL) {
		(void)fprintf(stderr, "perdure top: out of memory\n");
		return PD_EXIT_FAILURE;
	}
	top->given = &given;
	top->target = given.target;
	top->output.file = stdout;
	top->resized = -1;
	top->screen = !given.json && !given.lines && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
	pd_link_init(&top->link);
	status = run_top(top);
	pd_free(top);
	explicit_bzero(password, sizeof password);
	return status;
}

const struct pd_subcommand pd_subcommand_top = { "top", "what a server does, live", run };
