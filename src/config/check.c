/* What no single setting shows. */
#include <stdio.h>

#include "base/cron.h"
#include "base/memory.h"
#include "config/config_private.h"
#include "log/level.h"

/* How the user would find it: "--bind", "PERDURE_BIND", "server.bind". */
static const char *place(const struct pd_config *config, enum pd_setting_id id,
			 char text[PD_ORIGIN_TEXT_SIZE])
{
	const struct pd_setting *setting = pd_setting(id);

	if (pd_config_origin(config, id) == PD_ORIGIN_FILE)
		return setting->path;
	if (pd_config_origin(config, id) == PD_ORIGIN_ENVIRONMENT)
		pd_config_origin_text(config, id, text);
	else
		(void)snprintf(text, PD_ORIGIN_TEXT_SIZE, "--%s", setting->name);
	return text;
}

static unsigned line_of(const struct pd_config *config, enum pd_setting_id id)
{
	return config->effective[id].line;
}

#define SAY(severity, id, format, ...)                                               \
	pd_config_problem_add(problems, severity, line_of(config, id), "%s " format, \
			      place(config, id, where), ##__VA_ARGS__)

/* Doors that are known and not there yet. */
static void check_doors(const struct pd_config *config, struct pd_config_problems *problems)
{
	static const enum pd_setting_id doors[] = { PD_SETTING_PG, PD_SETTING_GRPC };
	char where[PD_ORIGIN_TEXT_SIZE];

	for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
		if (pd_config_number(config, doors[i]) != 0)
			SAY(PD_CONFIG_ERROR, doors[i], "is not built yet; only 0 is taken");
}

bool pd_config_address_is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* Only digits and what stands between them: no name. */
static bool is_numeric(const char *address)
{
	return address[0] != '\0' &&
	       address[strspn(address, strchr(address, ':') != NULL ? "0123456789abcdefABCDEF.:"
								    : "0123456789.")] == '\0';
}

static void check_bind(const struct pd_config *config, struct pd_config_problems *problems)
{
	const char *bind = pd_config_text(config, PD_SETTING_BIND);
	char where[PD_ORIGIN_TEXT_SIZE];

	if (!is_numeric(bind))
		SAY(PD_CONFIG_ERROR, PD_SETTING_BIND,
		    "is a numeric address, 127.0.0.1 or ::1, not a name: \"%.100s\"", bind);
	else if (!pd_config_address_is_loopback(bind) && pd_config_on(config, PD_SETTING_ALLOW_OPEN))
		SAY(PD_CONFIG_WARNING, PD_SETTING_ALLOW_OPEN,
		    "with %.100s: whoever reaches that address may read and change everything while there is "
		    "no "
		    "user",
		    bind);
}

static void check_http_bind(const struct pd_config *config, struct pd_config_problems *problems)
{
	const char *bind = pd_config_text(config, PD_SETTING_HTTP_BIND);
	char where[PD_ORIGIN_TEXT_SIZE];

	if (!is_numeric(bind))
		SAY(PD_CONFIG_ERROR, PD_SETTING_HTTP_BIND,
		    "is a numeric address, such as 127.0.0.1, ::1 or 0.0.0.0, not a name: \"%.100s\"", bind);
	else if (!pd_config_address_is_loopback(bind) &&
		 strcmp(pd_config_text(config, PD_SETTING_HTTP_LOGIN), "never") == 0 &&
		 (pd_config_number(config, PD_SETTING_HTTP) != 0 ||
		  pd_config_number(config, PD_SETTING_HTTPS) != 0))
		SAY(PD_CONFIG_WARNING, PD_SETTING_HTTP_LOGIN,
		    "never, with %.100s: whoever reaches that address may read /metrics and /health", bind);
}

static bool is_given(const struct pd_config *config, enum pd_setting_id id)
{
	return pd_config_text(config, id)[0] != '\0';
}

static void check_tls(const struct pd_config *config, struct pd_config_problems *problems)
{
	static const enum pd_setting_id doors[] = { PD_SETTING_TLS_PORT, PD_SETTING_HTTPS };
	bool on = pd_config_number(config, PD_SETTING_TLS_PORT) != 0;
	char where[PD_ORIGIN_TEXT_SIZE];

	for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
		if (pd_config_number(config, doors[i]) != 0 && (!is_given(config, PD_SETTING_TLS_CERT_FILE) ||
								!is_given(config, PD_SETTING_TLS_KEY_FILE)))
			SAY(PD_CONFIG_ERROR, doors[i],
			    "needs a certificate and its key: --tls-cert-file and --tls-key-file");
	if (strcmp(pd_config_text(config, PD_SETTING_TLS_AUTH_CLIENTS), "no") != 0 &&
	    !is_given(config, PD_SETTING_TLS_CA_FILE))
		SAY(PD_CONFIG_ERROR, PD_SETTING_TLS_AUTH_CLIENTS,
		    "needs --tls-ca-file: the certificates that vouch for clients'");
	if (pd_config_on(config, PD_SETTING_TLS_CERTIFICATE_USERS) &&
	    strcmp(pd_config_text(config, PD_SETTING_TLS_AUTH_CLIENTS), "no") == 0)
		SAY(PD_CONFIG_ERROR, PD_SETTING_TLS_CERTIFICATE_USERS,
		    "needs --tls-auth-clients optional or yes: else nobody shows a certificate");
	if (on && pd_config_number(config, PD_SETTING_TLS_PORT) == pd_config_number(config, PD_SETTING_RESP))
		SAY(PD_CONFIG_ERROR, PD_SETTING_TLS_PORT,
		    "is --resp's port: each needs one of its own, or --resp 0");
	if (pd_config_number(config, PD_SETTING_HTTPS) != 0 &&
	    pd_config_number(config, PD_SETTING_HTTPS) == pd_config_number(config, PD_SETTING_HTTP))
		SAY(PD_CONFIG_ERROR, PD_SETTING_HTTPS,
		    "is --http's port: each needs one of its own, or --http 0");
}

static const enum pd_setting_id schedules[] = { PD_SETTING_BACKUP_FULL,        PD_SETTING_BACKUP_DIFFERENTIAL,
						PD_SETTING_BACKUP_INCREMENTAL, PD_SETTING_BACKUP_LOG,
						PD_SETTING_BACKUP_EXPIRE,      PD_SETTING_BACKUP_DRILL };
static const enum pd_setting_id limits[] = { PD_SETTING_BACKUP_EVERY_CRITICAL,
					     PD_SETTING_BACKUP_EVERY_STANDARD,
					     PD_SETTING_BACKUP_EVERY_PERFORMANCE };
static const enum pd_setting_id keep_rules[] = {
	PD_SETTING_BACKUP_KEEP,        PD_SETTING_BACKUP_KEEP_FOR,     PD_SETTING_BACKUP_KEEP_DAILY,
	PD_SETTING_BACKUP_KEEP_WEEKLY, PD_SETTING_BACKUP_KEEP_MONTHLY, PD_SETTING_BACKUP_KEEP_YEARLY
};

static void check_repository(const struct pd_config *config, struct pd_config_problems *problems)
{
	const char *address = pd_config_text(config, PD_SETTING_BACKUP_REPOSITORY);
	char where[PD_ORIGIN_TEXT_SIZE];
	bool scheduled = false;

	for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
		scheduled = scheduled || is_given(config, schedules[i]);
		if (is_given(config, schedules[i]) && address[0] == '\0')
			SAY(PD_CONFIG_ERROR, schedules[i], "needs --backup-repository: where backups go");
	}
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		scheduled = scheduled || pd_config_number(config, limits[i]) > 0;
		if (pd_config_number(config, limits[i]) > 0 && address[0] == '\0')
			SAY(PD_CONFIG_ERROR, limits[i], "needs --backup-repository: where backups go");
	}
	if (address[0] == '\0')
		return;
	if (strstr(address, "://") == NULL && address[0] != '/')
		SAY(PD_CONFIG_ERROR, PD_SETTING_BACKUP_REPOSITORY,
		    "is a path from / on, or s3://BUCKET/PREFIX: \"%.200s\"", address);
	if (is_given(config, PD_SETTING_BACKUP_DRILL_DIRECTORY) &&
	    pd_config_text(config, PD_SETTING_BACKUP_DRILL_DIRECTORY)[0] != '/')
		SAY(PD_CONFIG_ERROR, PD_SETTING_BACKUP_DRILL_DIRECTORY, "is a path from / on: \"%.200s\"",
		    pd_config_text(config, PD_SETTING_BACKUP_DRILL_DIRECTORY));
	if (pd_config_on(config, PD_SETTING_MEMORY))
		SAY(PD_CONFIG_ERROR, PD_SETTING_BACKUP_REPOSITORY,
		    "has no use with --memory: there is nothing on disk to be backed up");
	if (!scheduled)
		SAY(PD_CONFIG_WARNING, PD_SETTING_BACKUP_REPOSITORY,
		    "alone makes no backup: say when, with --backup-full and --backup-incremental, for one");
	if (is_given(config, PD_SETTING_BACKUP_KEY_FILE) &&
	    is_given(config, PD_SETTING_BACKUP_PASSPHRASE_FILE))
		SAY(PD_CONFIG_ERROR, PD_SETTING_BACKUP_PASSPHRASE_FILE,
		    "and --backup-key-file are both given: a repository has one of them");
}

/* Schedules, and what stays. */
static void check_backups(const struct pd_config *config, struct pd_config_problems *problems)
{
	bool expires = is_given(config, PD_SETTING_BACKUP_EXPIRE), keeps = false;
	char where[PD_ORIGIN_TEXT_SIZE];

	check_repository(config, problems);
	for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
		struct pd_error err;
		struct pd_cron cron;

		if (is_given(config, schedules[i]) &&
		    pd_cron_parse(pd_config_text(config, schedules[i]), &cron, &err) != 0)
			SAY(PD_CONFIG_ERROR, schedules[i], "cannot be understood: %s", err.text);
	}
	for (size_t i = 0; i < sizeof keep_rules / sizeof *keep_rules; i++) {
		if (pd_config_number(config, keep_rules[i]) == 0)
			continue;
		keeps = true;
		if (!expires)
			SAY(PD_CONFIG_WARNING, keep_rules[i],
			    "counts with --backup-expire alone, which says when: nothing expires");
	}
	if (expires && !keeps)
		SAY(PD_CONFIG_ERROR, PD_SETTING_BACKUP_EXPIRE,
		    "needs a rule of what stays: --backup-keep, --backup-keep-for, --backup-keep-daily or "
		    "another such");
}

/* Memory keeps nothing on disk: its own default is not to promise it. */
static void check_memory(struct pd_config *config, struct pd_config_problems *problems)
{
	struct pd_config_entry *durability = config->effective + PD_SETTING_DURABILITY;
	char where[PD_ORIGIN_TEXT_SIZE];

	if (!pd_config_on(config, PD_SETTING_MEMORY))
		return;
	if (durability->origin == PD_ORIGIN_DEFAULT)
		pd_config_take(config, PD_SETTING_DURABILITY, PD_ORIGIN_DEFAULT, 0, "durability",
			       pd_slice_string(pd_level_name(PD_LEVEL_NONE)), problems);
	else if (strcmp(durability->value.text, pd_level_name(PD_LEVEL_NONE)) != 0)
		SAY(PD_CONFIG_ERROR, PD_SETTING_MEMORY, "keeps nothing on disk: the only durability is none");
}

/* What loses data, or the way back to it. */
static void warn(const struct pd_config *config, struct pd_config_problems *problems)
{
	const char *level = pd_config_text(config, PD_SETTING_DURABILITY);
	char where[PD_ORIGIN_TEXT_SIZE], interval[PD_SETTING_TEXT_MAX + 1];

	pd_setting_format(pd_setting(PD_SETTING_SYNC_INTERVAL),
			  pd_config_value(config, PD_SETTING_SYNC_INTERVAL), false, interval);
	if (pd_config_on(config, PD_SETTING_MEMORY))
		SAY(PD_CONFIG_WARNING, PD_SETTING_MEMORY,
		    "keeps everything in memory only: all is gone when the server ends");
	else if (strcmp(level, pd_level_name(PD_LEVEL_NONE)) == 0)
		SAY(PD_CONFIG_WARNING, PD_SETTING_DURABILITY,
		    "none: a crash may lose writes that were acknowledged, however old");
	else if (strcmp(level, pd_level_name(PD_LEVEL_PERFORMANCE)) == 0)
		SAY(PD_CONFIG_WARNING, PD_SETTING_DURABILITY,
		    "performance: a crash may lose the acknowledged writes of the last %s", interval);
	else if (strcmp(level, pd_level_name(PD_LEVEL_STANDARD)) == 0)
		SAY(PD_CONFIG_WARNING, PD_SETTING_DURABILITY,
		    "standard: a power cut may lose the acknowledged writes of the last %s", interval);
	if (pd_config_on(config, PD_SETTING_ACCEPT_DAMAGE))
		SAY(PD_CONFIG_WARNING, PD_SETTING_ACCEPT_DAMAGE,
		    "serves what is left of a damaged log: for a rescue, not for every day");
	if (pd_config_number(config, PD_SETTING_RETENTION_TIME) == 0 &&
	    pd_config_number(config, PD_SETTING_RETENTION_SIZE) == 0)
		SAY(PD_CONFIG_WARNING, PD_SETTING_RETENTION_TIME,
		    "and the size are 0: nothing of the past is kept, and there is no older state to go back "
		    "to "
		    "when the present one is damaged");
}

void pd_config_check(struct pd_config *config, struct pd_config_problems *problems)
{
	char where[PD_ORIGIN_TEXT_SIZE];

	check_doors(config, problems);
	check_bind(config, problems);
	check_http_bind(config, problems);
	if (pd_config_number(config, PD_SETTING_SEGMENT_SIZE) % 4096 != 0)
		SAY(PD_CONFIG_ERROR, PD_SETTING_SEGMENT_SIZE, "is a multiple of 4KiB");
	if (pd_config_text(config, PD_SETTING_DATA)[0] == '\0')
		SAY(PD_CONFIG_ERROR, PD_SETTING_DATA, "needs a directory");
	check_tls(config, problems);
	check_backups(config, problems);
	check_memory(config, problems);
	warn(config, problems);
}
