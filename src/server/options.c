/* Settings: what they mean for the parts of the server, at the start and when they change. */
#include "archive/archive.h"
#include "base/assert.h"
#include "server/server_private.h"

/* A started one counts. */
static uint64_t seconds(int64_t ms)
{
	return ((uint64_t)ms + 999) / 1000;
}

void pd_server_options_from(const struct pd_config *config, struct pd_server_options *ret_options)
{
	enum pd_level level = PD_LEVEL_STRICT;

	PD_ASSERT(pd_level_parse(pd_slice_string(pd_config_text(config, PD_SETTING_DURABILITY)), &level));
	*ret_options = (struct pd_server_options){
		.data_directory = pd_config_text(config, PD_SETTING_DATA),
		.bind_address = pd_config_text(config, PD_SETTING_BIND),
		.resp_port = (int)pd_config_number(config, PD_SETTING_RESP),
		.http_address = pd_config_text(config, PD_SETTING_HTTP_BIND),
		.http_port = (int)pd_config_number(config, PD_SETTING_HTTP),
		.default_level = level,
		.sync_interval_ms = (uint32_t)pd_config_number(config, PD_SETTING_SYNC_INTERVAL),
		.segment_bytes = (uint32_t)pd_config_number(config, PD_SETTING_SEGMENT_SIZE),
		.queue_depth = (unsigned)pd_config_number(config, PD_SETTING_QUEUE_DEPTH),
		.max_clients = (unsigned)pd_config_number(config, PD_SETTING_MAX_CLIENTS),
		.notify_keyspace_events = pd_config_text(config, PD_SETTING_NOTIFY_KEYSPACE_EVENTS),
		.allow_open = pd_config_on(config, PD_SETTING_ALLOW_OPEN),
		.in_memory = pd_config_on(config, PD_SETTING_MEMORY),
		.accept_damage = pd_config_on(config, PD_SETTING_ACCEPT_DAMAGE),
		.memory_budget_bytes = (uint64_t)pd_config_number(config, PD_SETTING_MEMORY_BUDGET),
		.retention_s = seconds(pd_config_number(config, PD_SETTING_RETENTION_TIME)),
		.retention_bytes = (uint64_t)pd_config_number(config, PD_SETTING_RETENTION_SIZE),
		.view_age_s = seconds(pd_config_number(config, PD_SETTING_VIEW_AGE)),
		.message_format =
			(enum pd_message_format)pd_config_value(config, PD_SETTING_LOG_FORMAT)->number,
		.message_level = (enum pd_message_level)pd_config_value(config, PD_SETTING_LOG_LEVEL)->number,
		.no_core_dumps = pd_config_on(config, PD_SETTING_NO_CORE_DUMPS),
		.compaction_bytes_per_s = (uint64_t)pd_config_number(config, PD_SETTING_COMPACTION_RATE),
	};
}

/* ---- changes ---- */

static int apply_level(struct pd_server *server, const char *text, struct pd_error *err)
{
	enum pd_level level;

	if (!pd_level_parse(pd_slice_string(text), &level))
		return pd_error_set(err, PD_INVALID, "no durability level is called %s", text);
	return pd_engine_set_default_level(server->engine, level, err);
}

/* The window's time and size go together; the one that does not change is what the configuration has. */
static void apply_retention(struct pd_server *server, int64_t time_ms, int64_t size)
{
	pd_engine_set_retention(server->engine, seconds(time_ms), (uint64_t)size);
}

static void apply_budget(struct pd_server *server, int64_t bytes)
{
	server->options.memory_budget_bytes = (uint64_t)bytes;
	pd_server_plan_memory(server);
	pd_engine_set_memory_budget(server->engine, server->plan.budget);
	pd_resp_front_set_memory(server->resp, server->plan.connections, server->plan.budget);
}

/* Every setting that is PD_SETTING_LIVE has its case here. */
static int apply(void *context, enum pd_setting_id id, const struct pd_setting_value *value,
		 struct pd_error *err)
{
	struct pd_server *server = context;
	const struct pd_config *config = server->config;

	switch (id) {
	case PD_SETTING_MAX_CLIENTS:
		return pd_net_set_max_connections(server->net, (unsigned)value->number, err);
	case PD_SETTING_DURABILITY:
		return apply_level(server, value->text, err);
	case PD_SETTING_MEMORY_BUDGET:
		apply_budget(server, value->number);
		return 0;
	case PD_SETTING_COMPACTION_RATE:
		pd_engine_set_compaction_rate(server->engine, (uint64_t)value->number);
		return 0;
	case PD_SETTING_SYNC_INTERVAL:
		pd_engine_set_sync_interval(server->engine, (uint32_t)value->number);
		return 0;
	case PD_SETTING_RETENTION_TIME:
		apply_retention(server, value->number, pd_config_number(config, PD_SETTING_RETENTION_SIZE));
		return 0;
	case PD_SETTING_RETENTION_SIZE:
		apply_retention(server, pd_config_number(config, PD_SETTING_RETENTION_TIME), value->number);
		return 0;
	case PD_SETTING_ARCHIVE_INTERVAL:
		if (server->archive != NULL)
			pd_archive_set_interval(server->archive, (uint64_t)value->number);
		return 0;
	case PD_SETTING_ARCHIVE_RETENTION:
		if (server->archive != NULL)
			pd_archive_set_retention(server->archive, (uint64_t)value->number / 1000);
		return 0;
	case PD_SETTING_ARCHIVE_DISK_LIMIT:
		if (server->archive != NULL)
			pd_archive_set_disk_limit(server->archive, (uint64_t)value->number);
		return 0;
	case PD_SETTING_BACKUP_REPOSITORY:
	case PD_SETTING_BACKUP_KEY_FILE:
	case PD_SETTING_BACKUP_PASSPHRASE_FILE:
	case PD_SETTING_BACKUP_FULL:
	case PD_SETTING_BACKUP_DIFFERENTIAL:
	case PD_SETTING_BACKUP_INCREMENTAL:
	case PD_SETTING_BACKUP_LOG:
	case PD_SETTING_BACKUP_EXPIRE:
	case PD_SETTING_BACKUP_EVERY_CRITICAL:
	case PD_SETTING_BACKUP_EVERY_STANDARD:
	case PD_SETTING_BACKUP_EVERY_PERFORMANCE:
	case PD_SETTING_BACKUP_DRILL:
	case PD_SETTING_BACKUP_DRILL_DIRECTORY:
	case PD_SETTING_BACKUP_KEEP:
	case PD_SETTING_BACKUP_KEEP_FOR:
	case PD_SETTING_BACKUP_KEEP_DAILY:
	case PD_SETTING_BACKUP_KEEP_WEEKLY:
	case PD_SETTING_BACKUP_KEEP_MONTHLY:
	case PD_SETTING_BACKUP_KEEP_YEARLY:
		return pd_server_change_backups(server, id, value->text, err);
	case PD_SETTING_VIEW_AGE:
		pd_engine_set_view_age(server->engine, seconds(value->number));
		return 0;
	case PD_SETTING_SLOWLOG_SLOWER_THAN:
		pd_resp_front_set_slowlog(server->resp, value->number,
					  (size_t)pd_config_number(config, PD_SETTING_SLOWLOG_MAX_LENGTH));
		return 0;
	case PD_SETTING_SLOWLOG_MAX_LENGTH:
		pd_resp_front_set_slowlog(server->resp,
					  pd_config_number(config, PD_SETTING_SLOWLOG_SLOWER_THAN),
					  (size_t)value->number);
		return 0;
	case PD_SETTING_LOG_FORMAT:
		server->messages.format = (enum pd_message_format)value->number;
		return 0;
	case PD_SETTING_LOG_LEVEL:
		server->messages.level = (enum pd_message_level)value->number;
		return 0;
	case PD_SETTING_NOTIFY_KEYSPACE_EVENTS:
		return pd_resp_front_set_notify(server->resp, value->text, err);
	default:
		return pd_error_set(err, PD_NOT_SUPPORTED, "%s needs a restart", pd_setting(id)->name);
	}
}

int pd_server_attach_config(struct pd_server *server, struct pd_error *err)
{
	struct pd_config_host host = { server, apply };

	pd_config_attach(server->config, &host);
	/* What is not given to its part when that is opened. */
	return apply(server, PD_SETTING_SLOWLOG_MAX_LENGTH,
		     pd_config_value(server->config, PD_SETTING_SLOWLOG_MAX_LENGTH), err);
}

void pd_server_reload(struct pd_server *server)
{
	struct pd_config_problems problems = { 0 };
	const char *file = pd_config_file(server->config);
	struct pd_error err;
	bool failed;

	if (file == NULL && pd_server_has_tls(server))
		return; /* there is a certificate to read again */
	if (file == NULL) {
		pd_message(&server->messages, PD_MESSAGE_WARNING, "config",
			   "SIGHUP: there is no configuration file to load anew; start with --config FILE");
		return;
	}
	failed = pd_config_reload(server->config, &problems, &err) != 0;
	if (failed)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "config", "SIGHUP: %s", err.text);
	for (size_t i = 0; i < problems.count; i++) {
		const struct pd_config_problem *problem = problems.items + i;
		enum pd_message_level level = problem->severity == PD_CONFIG_ERROR     ? PD_MESSAGE_ERROR
					      : problem->severity == PD_CONFIG_WARNING ? PD_MESSAGE_WARNING
										       : PD_MESSAGE_INFO;

		if (problem->line > 0)
			pd_message(&server->messages, level, "config", "%s:%u: %s", file, problem->line,
				   problem->text);
		else
			pd_message(&server->messages, level, "config", "%s", problem->text);
	}
	if (problems.errors > 0)
		pd_message(&server->messages, PD_MESSAGE_ERROR, "config",
			   "SIGHUP: %s was not taken, nothing has changed", file);
	else if (!failed)
		pd_message(&server->messages, PD_MESSAGE_INFO, "config", "SIGHUP: loaded %s", file);
	pd_config_problems_done(&problems);
}
