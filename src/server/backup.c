/* Backups that make themselves, beside the serving; what is told of that. */
#include "backup/scheduler.h"

#include <string.h>

#include "config/place.h"
#include "server/server_private.h"

static const enum pd_setting_id schedules[PD_AGENDA_COUNT] = {
	[PD_AGENDA_FULL] = PD_SETTING_BACKUP_FULL,
	[PD_AGENDA_DIFFERENTIAL] = PD_SETTING_BACKUP_DIFFERENTIAL,
	[PD_AGENDA_INCREMENTAL] = PD_SETTING_BACKUP_INCREMENTAL,
	[PD_AGENDA_LOG] = PD_SETTING_BACKUP_LOG,
	[PD_AGENDA_EXPIRE] = PD_SETTING_BACKUP_EXPIRE,
	[PD_AGENDA_DRILL] = PD_SETTING_BACKUP_DRILL,
};

static const enum pd_setting_id limits[PD_PROFILE_COUNT] = {
	[PD_PROFILE_CRITICAL] = PD_SETTING_BACKUP_EVERY_CRITICAL,
	[PD_PROFILE_STANDARD] = PD_SETTING_BACKUP_EVERY_STANDARD,
	[PD_PROFILE_PERFORMANCE] = PD_SETTING_BACKUP_EVERY_PERFORMANCE,
};

/* What the settings come to. Texts are theirs. */
struct order {
	struct pd_repository_place place;
	struct pd_object_place archive;
	struct pd_cron crons[PD_AGENDA_COUNT];
	struct pd_backup_scheduler_options options;
};

/* Each is what it says: the configuration was checked. */
static int take_schedules(const struct pd_config *config, struct order *order, struct pd_error *err)
{
	for (unsigned i = 0; i < PD_AGENDA_COUNT; i++) {
		const char *text = pd_config_text(config, schedules[i]);
		struct pd_error why;

		if (text[0] == '\0')
			continue;
		if (pd_cron_parse(text, &order->crons[i], &why) != 0)
			return pd_error_set(err, PD_INVALID, "--%s: %s", pd_setting(schedules[i])->name,
					    why.text);
		order->options.schedules[i] = &order->crons[i];
	}
	return 0;
}

static uint64_t number(const struct pd_config *config, enum pd_setting_id id)
{
	return (uint64_t)pd_config_number(config, id);
}

static struct pd_retention_rules rules_of(const struct pd_config *config)
{
	return (struct pd_retention_rules){
		.keep = number(config, PD_SETTING_BACKUP_KEEP),
		.age_us = pd_retention_age_us(number(config, PD_SETTING_BACKUP_KEEP_FOR)),
		.periods = { number(config, PD_SETTING_BACKUP_KEEP_DAILY),
			     number(config, PD_SETTING_BACKUP_KEEP_WEEKLY),
			     number(config, PD_SETTING_BACKUP_KEEP_MONTHLY),
			     number(config, PD_SETTING_BACKUP_KEEP_YEARLY) },
	};
}

static struct pd_repository_place place_of(const struct pd_config *config)
{
	return (struct pd_repository_place){
		.store = pd_config_place(config, pd_config_text(config, PD_SETTING_BACKUP_REPOSITORY)),
		.key_file = pd_config_text(config, PD_SETTING_BACKUP_KEY_FILE),
		.passphrase_file = pd_config_text(config, PD_SETTING_BACKUP_PASSPHRASE_FILE),
	};
}

static int take_order(struct pd_server *server, struct order *order, struct pd_error *err)
{
	const struct pd_config *config = server->config;
	const char *directory = pd_config_text(config, PD_SETTING_BACKUP_DRILL_DIRECTORY);

	*order = (struct order){ .place = place_of(config), .archive = pd_server_archive_place(config) };
	order->options = (struct pd_backup_scheduler_options){
		.os = server->os,
		.engine = server->engine,
		.jobs = pd_resp_front_backup_jobs(server->resp),
		.place = &order->place,
		.rules = rules_of(config),
		.drill_directory = directory[0] != '\0' ? directory : server->options.data_directory,
		.archive = order->archive.address[0] != '\0' ? &order->archive : NULL,
	};
	if (order->options.jobs == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for backups");
	for (unsigned i = 0; i < PD_PROFILE_COUNT; i++)
		order->options.limits_us[i] = pd_retention_age_us(number(config, limits[i]));
	return take_schedules(config, order, err);
}

static bool is_wanted(const struct pd_server *server)
{
	return pd_config_text(server->config, PD_SETTING_BACKUP_REPOSITORY)[0] != '\0';
}

int pd_server_open_backups(struct pd_server *server, struct pd_error *err)
{
	struct order order;
	struct pd_error why;
	int result;

	if (!is_wanted(server))
		return 0;
	result = take_order(server, &order, err);
	if (result != 0)
		return result;
	result = pd_backup_scheduler_new(&order.options, &server->backups, &why);
	if (result != 0)
		return pd_error_set(err, result, "--backup-repository: %s", why.text);
	pd_resp_front_set_scheduler(server->resp, server->backups);
	pd_message(&server->messages, PD_MESSAGE_INFO, "backup", "backups go into %s by schedule",
		   order.place.store.address);
	return 0;
}

/* ---- while it runs ---- */

static bool is_schedule(enum pd_setting_id id)
{
	for (unsigned i = 0; i < PD_AGENDA_COUNT; i++)
		if (schedules[i] == id)
			return true;
	return false;
}

/* What a value shows by itself: the others may change with it. */
static int check_setting(const struct pd_server *server, enum pd_setting_id id, const char *text,
			 struct pd_error *err)
{
	struct pd_cron cron;

	if (text == NULL || text[0] == '\0')
		return 0;
	if (is_schedule(id))
		return pd_cron_parse(text, &cron, err);
	if (id == PD_SETTING_BACKUP_REPOSITORY && server->options.in_memory)
		return pd_error_set(err, PD_INVALID, "there is nothing on disk to be backed up");
	if (id == PD_SETTING_BACKUP_REPOSITORY && strstr(text, "://") == NULL && text[0] != '/')
		return pd_error_set(err, PD_INVALID, "it is a path from / on, or s3://BUCKET/PREFIX");
	if (id == PD_SETTING_BACKUP_DRILL_DIRECTORY && text[0] != '/')
		return pd_error_set(err, PD_INVALID, "it is a path from / on");
	return 0;
}

int pd_server_change_backups(struct pd_server *server, enum pd_setting_id id, const char *text,
			     struct pd_error *err)
{
	int result = check_setting(server, id, text, err);

	/* All that change together are there when it is looked at. */
	if (result == 0)
		server->backups_changed = true;
	return result;
}

static void warn_of(struct pd_server *server, const struct order *order)
{
	if (order->options.schedules[PD_AGENDA_EXPIRE] != NULL &&
	    !pd_retention_has_rules(&order->options.rules))
		pd_message(&server->messages, PD_MESSAGE_WARNING, "backup",
			   "nothing expires: backup-expire needs a rule of what stays, such as backup-keep");
}

static void take_changes(struct pd_server *server)
{
	struct order order;
	struct pd_error err = { 0 };
	int result = 0;

	server->backups_changed = false;
	if (!is_wanted(server)) {
		if (server->backups != NULL)
			pd_backup_scheduler_end(server->backups);
		return;
	}
	if (server->backups == NULL) {
		result = pd_server_open_backups(server, &err);
	} else {
		result = take_order(server, &order, &err);
		if (result == 0)
			result = pd_backup_scheduler_change(server->backups, &order.options, &err);
		if (result == 0)
			warn_of(server, &order);
	}
	if (result != 0)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "backup",
			   "the changed settings do not count: %s", err.text);
}

void pd_server_tick_backups(struct pd_server *server, uint64_t now_us)
{
	static const enum pd_message_level levels[] = { [PD_BACKUP_ROUTINE] = PD_MESSAGE_DEBUG,
							[PD_BACKUP_NEWS] = PD_MESSAGE_INFO,
							[PD_BACKUP_TROUBLE] = PD_MESSAGE_WARNING };
	struct pd_backup_tidings tidings;

	if (server->backups_changed)
		take_changes(server);
	if (server->backups == NULL || now_us < pd_backup_scheduler_deadline_us(server->backups))
		return;
	if (server->archive != NULL)
		pd_backup_scheduler_archived(server->backups, pd_server_archived_lsn(server));
	pd_backup_scheduler_tick(server->backups);
	while (pd_backup_scheduler_hear(server->backups, &tidings))
		pd_message(&server->messages, levels[tidings.kind], "backup", "%s", tidings.text);
	if (!pd_backup_scheduler_has_ended(server->backups))
		return;
	pd_server_close_backups(server);
	pd_message(&server->messages, PD_MESSAGE_INFO, "backup", "no backups are made by schedule any more");
}

uint64_t pd_server_backups_due_us(const struct pd_server *server)
{
	if (server->backups_changed)
		return 0;
	return server->backups != NULL ? pd_backup_scheduler_deadline_us(server->backups) : UINT64_MAX;
}

void pd_server_close_backups(struct pd_server *server)
{
	if (server->resp != NULL)
		pd_resp_front_set_scheduler(server->resp, NULL);
	pd_backup_scheduler_free(server->backups);
	server->backups = NULL;
}

void pd_server_look_at_backups(const struct pd_server *server, struct pd_metrics_facts *facts)
{
	if (server->backups == NULL)
		return;
	facts->backups_configured = 1;
	pd_backup_scheduler_status(server->backups, &facts->backups);
	facts->backups_known = facts->backups.known;
	facts->backups_failing = facts->backups.failing;
	facts->drill_failing = facts->backups.drill.failing;
	facts->now_us = pd_os_real_us(server->os);
}
