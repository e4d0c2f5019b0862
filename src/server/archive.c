/* The log followed into an archive, beside the serving; what is told of that. */
#include <stdio.h>
#include <string.h>

#include "archive/archive.h"
#include "config/place.h"
#include "server/server_private.h"

#define END_PATIENCE_US 5000000u /* what the archive gets at the end to take what is durable */

struct pd_object_place pd_server_archive_place(const struct pd_config *config)
{
	return pd_config_place(config, pd_config_text(config, PD_SETTING_ARCHIVE));
}

int pd_server_open_archive(struct pd_server *server, struct pd_error *err)
{
	const struct pd_config *config = server->config;
	const struct pd_object_place place = pd_server_archive_place(config);
	struct pd_archive_options options = {
		.os = server->os,
		.engine = server->engine,
		.place = &place,
		.interval_ms = (uint64_t)pd_config_number(config, PD_SETTING_ARCHIVE_INTERVAL),
		.retention_s = (uint64_t)pd_config_number(config, PD_SETTING_ARCHIVE_RETENTION) / 1000,
		.disk_limit = (uint64_t)pd_config_number(config, PD_SETTING_ARCHIVE_DISK_LIMIT),
	};
	struct pd_error why;
	int result;

	if (place.address[0] == '\0')
		return 0;
	if (server->options.in_memory)
		return pd_error_set(err, PD_INVALID,
				    "with --memory there is no log to be archived: leave out --archive");
	result = pd_archive_new(&options, &server->archive, &why);
	if (result != 0)
		return pd_error_set(err, result, "--archive: %s", why.text);
	pd_resp_front_set_archive(server->resp, server->archive);
	pd_message(&server->messages, PD_MESSAGE_INFO, "archive", "the log is followed into %s",
		   place.address);
	return 0;
}

/* Once what is new: a failure, its end, a gap, and that what waits was let go. */
static void notice(struct pd_server *server)
{
	struct pd_archive_notices *told = &server->archive_notices;
	struct pd_archive_status status;
	bool fails;

	pd_archive_status(server->archive, &status);
	fails = status.state == PD_ARCHIVE_FAILING || status.state == PD_ARCHIVE_REFUSED;
	if (fails && (!told->fails || status.state != told->state))
		pd_message(&server->messages, PD_MESSAGE_WARNING, "archive",
			   "%s: %s; tried again, and the log stays on the disk meanwhile, up to %s of it",
			   status.state == PD_ARCHIVE_REFUSED ? "nothing is archived" : "archiving fails",
			   status.failure,
			   status.disk_limit > 0 ? "--archive-disk-limit" : "what the disk holds");
	if (!fails && told->fails)
		pd_message(&server->messages, PD_MESSAGE_INFO, "archive", "the log is archived again");
	if (status.let_go && !told->let_go)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "archive",
			   "%llu MiB of the log wait for the archive, more than --archive-disk-limit: they "
			   "are let "
			   "go as retention says, and what goes will be a gap in the archive",
			   (unsigned long long)(status.waiting_bytes >> 20));
	if (status.hold[0] != '\0' && !told->held)
		pd_message(&server->messages, PD_MESSAGE_INFO, "archive",
			   "nothing expires: the hold '%s' keeps all that is archived", status.hold);
	if (status.gaps > told->gaps)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "archive", "%s", status.gap);
	*told = (struct pd_archive_notices){ .fails = fails,
					     .held = status.hold[0] != '\0',
					     .let_go = status.let_go,
					     .gaps = status.gaps,
					     .state = status.state };
}

void pd_server_tick_archive(struct pd_server *server, uint64_t now_us)
{
	if (server->archive == NULL || now_us < pd_archive_deadline_us(server->archive))
		return;
	pd_archive_tick(server->archive);
	notice(server);
}

uint64_t pd_server_archive_due_us(const struct pd_server *server)
{
	return server->archive != NULL ? pd_archive_deadline_us(server->archive) : UINT64_MAX;
}

uint64_t pd_server_archived_lsn(const struct pd_server *server)
{
	struct pd_archive_status status;

	pd_archive_status(server->archive, &status);
	return status.archived_lsn;
}

void pd_server_close_archive(struct pd_server *server)
{
	struct pd_archive_status status;

	if (server->archive == NULL)
		return;
	if (server->resp != NULL)
		pd_resp_front_set_archive(server->resp, NULL);
	pd_archive_finish(server->archive, END_PATIENCE_US);
	pd_archive_status(server->archive, &status);
	if (status.archived_lsn < status.durable_lsn)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "archive",
			   "LSN %llu to %llu are not archived yet: they are when the server runs again%s%s",
			   (unsigned long long)status.archived_lsn + 1,
			   (unsigned long long)status.durable_lsn, status.failure[0] != '\0' ? "; " : "",
			   status.failure);
	pd_archive_free(server->archive);
	server->archive = NULL;
}

void pd_server_look_at_archive(const struct pd_server *server, struct pd_metrics_facts *facts)
{
	struct pd_archive_status status;

	if (server->archive == NULL)
		return;
	pd_archive_status(server->archive, &status);
	facts->archive_configured = 1;
	facts->archive_lag_us = status.lag_us;
	facts->archive_lag_bytes = status.lag_bytes;
	facts->archive_lsn = status.archived_lsn;
	facts->archive_us = status.archived_us;
	facts->archive_waiting_bytes = status.waiting_bytes;
	facts->archive_failing = status.state == PD_ARCHIVE_FAILING || status.state == PD_ARCHIVE_REFUSED;
	facts->archive_failures = status.failures;
	facts->archive_gaps = status.gaps;
	facts->archive_objects = status.objects;
	facts->archive_bytes = status.bytes;
}
