/* The effective values of all settings, and where each comes from.
 *
 *     default  <  file  <  environment  <  flag          when it is loaded
 *                                       <  CONFIG SET    while the server runs
 *
 * A reload (SIGHUP) reads file, environment and flags again and applies what is different from what they said the last time,
 * as far as it can change in a running server; so what CONFIG SET has set stays until the file says something new about it.
 *
 * Threads: one. */
#ifndef PD_CONFIG_CONFIG_H
#define PD_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "config/problem.h"
#include "config/setting.h"

struct pd_os;
struct pd_config;

#define PD_CONFIG_FILE_MAX (1u << 20) /* bytes of a file */

enum pd_origin {
	PD_ORIGIN_DEFAULT,
	PD_ORIGIN_FILE,
	PD_ORIGIN_ENVIRONMENT,
	PD_ORIGIN_FLAG,
	PD_ORIGIN_LIVE, /* CONFIG SET */
};

struct pd_config_sources {
	struct pd_os *os;
	const char *file;         /* TOML, or JSON if its name ends so; NULL: none */
	char *const *environment; /* as `environ`; NULL: none */
	const char *const *flags; /* PD_SETTING_COUNT texts, NULL where it was not given; may be NULL */
};

/* Values from all sources, which must live as long as the configuration. What is wrong is added to `problems`, and the value
 * before stays; with problems->errors > 0 do not start. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_config_new(const struct pd_config_sources *sources, struct pd_config **ret_config,
				struct pd_config_problems *problems, struct pd_error *err);
void pd_config_free(struct pd_config *config); /* NULL is fine */

int64_t pd_config_number(const struct pd_config *config, enum pd_setting_id id);
bool pd_config_on(const struct pd_config *config, enum pd_setting_id id);
/* Of a text or a choice. Valid until it changes. */
const char *pd_config_text(const struct pd_config *config, enum pd_setting_id id);
const struct pd_setting_value *pd_config_value(const struct pd_config *config, enum pd_setting_id id);
enum pd_origin pd_config_origin(const struct pd_config *config, enum pd_setting_id id);
#define PD_ORIGIN_TEXT_SIZE 4200
/* "default", "FILE:LINE", "PERDURE_RESP", "--resp", "CONFIG SET". */
void pd_config_origin_text(const struct pd_config *config, enum pd_setting_id id,
			   char text[PD_ORIGIN_TEXT_SIZE]);
const char *pd_config_file(const struct pd_config *config); /* NULL: none */

/* Is a numeric address this machine's own? */
bool pd_config_address_is_loopback(const char *address);

/* ---- while the server runs ---- */
/* Who makes a change true. PD_INVALID and the like, with words: the value stays what it was. */
struct pd_config_host {
	void *context;
	int (*apply)(void *context, enum pd_setting_id id, const struct pd_setting_value *value,
		     struct pd_error *err);
};
void pd_config_attach(struct pd_config *config, const struct pd_config_host *host);
/* CONFIG SET. PD_INVALID: not such a value, or it needs a restart; whatever the host says. */
PD_MUST_CHECK int pd_config_change(struct pd_config *config, enum pd_setting_id id, struct pd_slice text,
				   struct pd_error *err);
/* Would pd_config_change() take it, as far as can be said without doing it? */
PD_MUST_CHECK int pd_config_check_change(const struct pd_config *config, enum pd_setting_id id,
					 struct pd_slice text, struct pd_error *err);
/* SIGHUP. All or nothing as far as the file can be understood: with problems->errors > 0 from it nothing has changed. Notes
 * say what has, warnings what needs a restart. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_config_reload(struct pd_config *config, struct pd_config_problems *problems,
				   struct pd_error *err);

#endif
