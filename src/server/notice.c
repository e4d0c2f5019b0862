/* What an operator reads on standard error. */
#include <stdio.h>
#include <string.h>

#include "server/bar.h"
#include "server/server_private.h"

#define BAR_INTERVAL_US  100000u  /* a bar is redrawn ten times a second */
#define LINE_INTERVAL_US 2000000u /* elsewhere, a line every two seconds */
#define DAMAGE_LINES_MAX 20

/* A line of state_notice.h, which begins with what it is. */
static void say_line(struct pd_server *server, const char *line)
{
	static const char warning[] = "warning: ", state[] = "state: ";

	if (strncmp(line, warning, sizeof warning - 1) == 0)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "state", "%s", line + sizeof warning - 1);
	else
		pd_message(&server->messages, PD_MESSAGE_INFO, "state", "%s",
			   strncmp(line, state, sizeof state - 1) == 0 ? line + sizeof state - 1 : line);
}

/* ---- recovery ---- */

void pd_server_progress_begin(struct pd_server_progress *progress, const struct pd_server *server)
{
	*progress = (struct pd_server_progress){ .bar = server->messages.stream == PD_OS_STREAM_TERMINAL &&
							server->messages.format == PD_MESSAGE_TEXT };
}

static double share_of(const struct pd_recovery *recovery)
{
	return pd_bar_share(recovery->bytes, recovery->total_bytes);
}

static double seconds_left(const struct pd_recovery *recovery)
{
	return pd_bar_seconds_left(recovery->bytes, recovery->total_bytes,
				   (double)recovery->elapsed_us / 1e6);
}

static void show_line(struct pd_server *server, const struct pd_recovery *recovery)
{
	/* Where it is not known how much there is to read, what has been done is all there is to say. */
	if (recovery->total_bytes == 0)
		pd_message(&server->messages, PD_MESSAGE_INFO, "recovery", "%llu records, %.1f MiB so far",
			   (unsigned long long)recovery->records, (double)recovery->bytes / (1024 * 1024));
	else
		pd_message(&server->messages, PD_MESSAGE_INFO, "recovery",
			   "%.0f%%, %llu records, about %.0f s left", 100 * share_of(recovery),
			   (unsigned long long)recovery->records, seconds_left(recovery));
}

void pd_server_progress_show(struct pd_server_progress *progress, struct pd_server *server, uint64_t now_us)
{
	const struct pd_recovery *recovery = &server->recovery;
	char bar[PD_BAR_WIDTH + 1];

	if (now_us < progress->next_us)
		return;
	/* Nothing at all for a recovery that is over before anybody could read it. */
	if (progress->next_us == 0) {
		progress->next_us = now_us + (progress->bar ? BAR_INTERVAL_US : LINE_INTERVAL_US);
		return;
	}
	progress->next_us = now_us + (progress->bar ? BAR_INTERVAL_US : LINE_INTERVAL_US);
	if (!progress->bar) {
		show_line(server, recovery);
		return;
	}
	progress->shown = true;
	if (recovery->total_bytes == 0) {
		(void)fprintf(stderr, "\rrecovery: %llu records, %.1f MiB so far ",
			      (unsigned long long)recovery->records, (double)recovery->bytes / (1024 * 1024));
		return;
	}
	pd_bar_fill(bar, share_of(recovery));
	(void)fprintf(stderr, "\rrecovery [%s] %3.0f%%  %llu records, about %.0f s left ", bar,
		      100 * share_of(recovery), (unsigned long long)recovery->records,
		      seconds_left(recovery));
}

static void say_place(struct pd_server *server, const struct pd_log_damage *damage)
{
	char lost[80] = "no record is concerned";

	if (damage->last_lsn == 0)
		(void)snprintf(lost, sizeof lost, "LSN %llu and after cannot be read",
			       (unsigned long long)damage->first_lsn);
	else if (damage->last_lsn == damage->first_lsn)
		(void)snprintf(lost, sizeof lost, "LSN %llu cannot be read",
			       (unsigned long long)damage->first_lsn);
	else if (pd_log_damage_loses(damage))
		(void)snprintf(lost, sizeof lost, "LSN %llu to %llu cannot be read",
			       (unsigned long long)damage->first_lsn, (unsigned long long)damage->last_lsn);
	if (damage->segment == 0)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "log", "the log: %s; %s", damage->text,
			   lost);
	else
		pd_message(&server->messages, PD_MESSAGE_WARNING, "log",
			   "log segment %010u, byte %llu: %s; %s", damage->segment,
			   (unsigned long long)damage->offset, damage->text, lost);
}

/* What is wrong with the log, and what to do about it. */
static void say_damage(struct pd_server *server, const struct pd_recovery *recovery)
{
	const struct pd_log_damage *damage;

	pd_message(&server->messages, PD_MESSAGE_WARNING, "log",
		   "the log is damaged in %llu place%s; %llu actor%s quarantined, all others are "
		   "served",
		   (unsigned long long)recovery->damage_count, recovery->damage_count == 1 ? "" : "s",
		   (unsigned long long)recovery->quarantined_actors,
		   recovery->quarantined_actors == 1 ? " is" : "s are");
	for (size_t n = 0; n < DAMAGE_LINES_MAX; n++) {
		damage = pd_engine_damage(server->engine, n);
		if (damage == NULL)
			break;
		say_place(server, damage);
	}
	if (recovery->damage_count > DAMAGE_LINES_MAX)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "log", "… and %llu more places",
			   (unsigned long long)(recovery->damage_count - DAMAGE_LINES_MAX));
	pd_message(&server->messages, PD_MESSAGE_WARNING, "log",
		   "'perdure log verify --data %s' tells whose records are concerned, and what to do",
		   server->options.data_directory);
}

void pd_server_progress_end(struct pd_server_progress *progress, const struct pd_recovery *recovery,
			    struct pd_server *server)
{
	char text[PD_NOTICE_SIZE];

	if (progress->shown)
		(void)fputs("\r\033[K", stderr);
	if (!server->options.in_memory)
		for (unsigned line = 0; pd_notice_recovery(recovery, line, text); line++)
			say_line(server, text);
	if (recovery->torn_bytes > 0)
		pd_message(&server->messages, PD_MESSAGE_INFO, "recovery",
			   "an unfinished write of %llu bytes at the end of the log was cut; nothing "
			   "acknowledged was in it",
			   (unsigned long long)recovery->torn_bytes);
	if (recovery->damage_count > 0)
		say_damage(server, recovery);
}

/* ---- while serving ---- */

void pd_server_notice_changes(struct pd_server *server)
{
	const char *fence = pd_engine_fence_text(server->engine);
	bool full = pd_engine_disk_full(server->engine);

	if (fence[0] != '\0' && !server->fence_told) {
		server->fence_told = true;
		pd_message(&server->messages, PD_MESSAGE_ERROR, "log", "THE LOG IS FENCED: %s", fence);
		pd_message(&server->messages, PD_MESSAGE_ERROR, "log",
			   "Writes that were not acknowledged have an unknown outcome. Every command that "
			   "needs the log is answered with -FENCED.");
		pd_message(&server->messages, PD_MESSAGE_ERROR, "log",
			   "Look after the disk under %s, then restart this server: what was "
			   "acknowledged is "
			   "replayed.",
			   server->options.in_memory ? "this process" : server->options.data_directory);
	}
	if (full != server->disk_full_told) {
		server->disk_full_told = full;
		if (full)
			pd_message(&server->messages, PD_MESSAGE_WARNING, "disk",
				   "the disk under %s is full; writes are refused with -DISKFULL until "
				   "there is room, reads go on",
				   server->options.data_directory);
		else
			pd_message(&server->messages, PD_MESSAGE_INFO, "disk",
				   "the disk has room again; writes are taken");
	}
}

void pd_server_notice_state(struct pd_server *server, uint64_t now_us)
{
	struct pd_engine_stats stats;
	char text[PD_NOTICE_SIZE];

	pd_engine_stats(server->engine, &stats);
	while (pd_notice_state(&server->state_notices, &stats, now_us, text))
		say_line(server, text);
}
