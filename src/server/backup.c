/* Backups that make themselves, beside the serving; what is told of that. */
#include "backup/scheduler.h"
#include "server/server_private.h"

/* Each is what it says: the configuration was checked. */
static int take_schedules(const struct pd_config *config, struct pd_cron crons[PD_AGENDA_COUNT],
			  struct pd_backup_scheduler_options *options, struct pd_error *err)
{
	static const enum pd_setting_id settings[PD_AGENDA_COUNT] = {
		[PD_AGENDA_FULL] = PD_SETTING_BACKUP_FULL,
		[PD_AGENDA_DIFFERENTIAL] = PD_SETTING_BACKUP_DIFFERENTIAL,
		[PD_AGENDA_INCREMENTAL] = PD_SETTING_BACKUP_INCREMENTAL,
		[PD_AGENDA_LOG] = PD_SETTING_BACKUP_LOG,
		[PD_AGENDA_EXPIRE] = PD_SETTING_BACKUP_EXPIRE,
		[PD_AGENDA_DRILL] = PD_SETTING_BACKUP_DRILL,
	};

	for (unsigned i = 0; i < PD_AGENDA_COUNT; i++) {
		const char *text = pd_config_text(config, settings[i]);
		struct pd_error why;

		if (text[0] == '\0')
			continue;
		if (pd_cron_parse(text, &crons[i], &why) != 0)
			return pd_error_set(err, PD_INVALID, "--%s: %s", pd_setting(settings[i])->name,
					    why.text);
		options->schedules[i] = &crons[i];
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
		.age_us = number(config, PD_SETTING_BACKUP_KEEP_FOR) * 1000,
		.periods = { number(config, PD_SETTING_BACKUP_KEEP_DAILY),
			     number(config, PD_SETTING_BACKUP_KEEP_WEEKLY),
			     number(config, PD_SETTING_BACKUP_KEEP_MONTHLY),
			     number(config, PD_SETTING_BACKUP_KEEP_YEARLY) },
	};
}

static struct pd_repository_place place_of(const struct pd_config *config)
{
	return (struct pd_repository_place){
		.store = { .address = pd_config_text(config, PD_SETTING_BACKUP_REPOSITORY),
			   .s3_endpoint = pd_config_text(config, PD_SETTING_S3_ENDPOINT),
			   .s3_region = pd_config_text(config, PD_SETTING_S3_REGION),
			   .s3_style = pd_config_text(config, PD_SETTING_S3_STYLE),
			   .s3_look_first = pd_config_on(config, PD_SETTING_S3_LOOK_FIRST),
			   .s3_ca_file = pd_config_text(config, PD_SETTING_S3_CA_FILE),
			   .s3_encryption = pd_config_text(config, PD_SETTING_S3_ENCRYPTION),
			   .s3_kms_key = pd_config_text(config, PD_SETTING_S3_KMS_KEY) },
		.key_file = pd_config_text(config, PD_SETTING_BACKUP_KEY_FILE),
		.passphrase_file = pd_config_text(config, PD_SETTING_BACKUP_PASSPHRASE_FILE),
	};
}

int pd_server_open_backups(struct pd_server *server, struct pd_error *err)
{
	const struct pd_config *config = server->config;
	const struct pd_repository_place place = place_of(config);
	const struct pd_object_place archive = pd_server_archive_place(config);
	const char *directory = pd_config_text(config, PD_SETTING_BACKUP_DRILL_DIRECTORY);
	struct pd_backup_scheduler_options options = {
		.os = server->os,
		.engine = server->engine,
		.place = &place,
		.rules = rules_of(config),
		.drill_directory = directory[0] != '\0' ? directory : server->options.data_directory,
		.archive = archive.address[0] != '\0' ? &archive : NULL,
	};
	struct pd_cron crons[PD_AGENDA_COUNT];
	struct pd_error why;
	int result;

	if (place.store.address[0] == '\0')
		return 0;
	result = take_schedules(config, crons, &options, err);
	if (result != 0)
		return result;
	options.jobs = pd_resp_front_backup_jobs(server->resp);
	if (options.jobs == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for backups");
	result = pd_backup_scheduler_new(&options, &server->backups, &why);
	if (result != 0)
		return pd_error_set(err, result, "--backup-repository: %s", why.text);
	pd_resp_front_set_scheduler(server->resp, server->backups);
	pd_message(&server->messages, PD_MESSAGE_INFO, "backup", "backups go into %s by schedule",
		   place.store.address);
	return 0;
}

void pd_server_tick_backups(struct pd_server *server, uint64_t now_us)
{
	static const enum pd_message_level levels[] = { [PD_BACKUP_ROUTINE] = PD_MESSAGE_DEBUG,
							[PD_BACKUP_NEWS] = PD_MESSAGE_INFO,
							[PD_BACKUP_TROUBLE] = PD_MESSAGE_WARNING };
	struct pd_backup_tidings tidings;

	if (server->backups == NULL || now_us < pd_backup_scheduler_deadline_us(server->backups))
		return;
	pd_backup_scheduler_tick(server->backups);
	while (pd_backup_scheduler_hear(server->backups, &tidings))
		pd_message(&server->messages, levels[tidings.kind], "backup", "%s", tidings.text);
}

uint64_t pd_server_backups_due_us(const struct pd_server *server)
{
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
