#include "config/config.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/memory.h"
#include "config/config_private.h"
#include "config/value.h"

#define VARIABLE_PREFIX "PERDURE_"

/* ---- values ---- */

const struct pd_setting_value *pd_config_value(const struct pd_config *config, enum pd_setting_id id)
{
	PD_ASSERT(id < PD_SETTING_COUNT);
	return &config->effective[id].value;
}

int64_t pd_config_number(const struct pd_config *config, enum pd_setting_id id)
{
	return pd_config_value(config, id)->number;
}

bool pd_config_on(const struct pd_config *config, enum pd_setting_id id)
{
	return pd_config_value(config, id)->number != 0;
}

const char *pd_config_text(const struct pd_config *config, enum pd_setting_id id)
{
	PD_ASSERT(pd_config_value(config, id)->text != NULL);
	return pd_config_value(config, id)->text;
}

enum pd_origin pd_config_origin(const struct pd_config *config, enum pd_setting_id id)
{
	PD_ASSERT(id < PD_SETTING_COUNT);
	return config->effective[id].origin;
}

const char *pd_config_file(const struct pd_config *config)
{
	return config->sources.file;
}

void pd_config_origin_text(const struct pd_config *config, enum pd_setting_id id,
			   char text[PD_ORIGIN_TEXT_SIZE])
{
	const struct pd_config_entry *entry = config->effective + id;
	char name[PD_SETTING_NAME_SIZE];

	switch (entry->origin) {
	case PD_ORIGIN_DEFAULT:
		(void)snprintf(text, PD_ORIGIN_TEXT_SIZE, "default");
		break;
	case PD_ORIGIN_FILE:
		(void)snprintf(text, PD_ORIGIN_TEXT_SIZE, "%s:%u", config->sources.file, entry->line);
		break;
	case PD_ORIGIN_ENVIRONMENT:
		pd_setting_environment_name(pd_setting(id), name);
		(void)snprintf(text, PD_ORIGIN_TEXT_SIZE, "%s", name);
		break;
	case PD_ORIGIN_FLAG:
		(void)snprintf(text, PD_ORIGIN_TEXT_SIZE, "--%s", pd_setting(id)->name);
		break;
	case PD_ORIGIN_LIVE:
		(void)snprintf(text, PD_ORIGIN_TEXT_SIZE, "CONFIG SET");
		break;
	}
}

static bool value_equal(const struct pd_setting_value *a, const struct pd_setting_value *b)
{
	if (a->text == NULL || b->text == NULL)
		return a->text == b->text && a->number == b->number;
	return strcmp(a->text, b->text) == 0;
}

static int value_copy(const struct pd_setting_value *from, struct pd_setting_value *to)
{
	struct pd_setting_value copy = *from;

	if (from->text != NULL) {
		copy.text = pd_strdup(from->text);
		if (copy.text == NULL)
			return PD_NO_MEMORY;
	}
	pd_free(to->text);
	*to = copy;
	return 0;
}

/* ---- sources ---- */

void pd_config_take(struct pd_config *config, enum pd_setting_id id, enum pd_origin origin, unsigned line,
		    const char *where, struct pd_slice text, struct pd_config_problems *problems)
{
	struct pd_config_entry *entry = config->effective + id;
	struct pd_setting_value value;
	struct pd_error err;

	if (pd_setting_parse(pd_setting(id), where, text, &value, &err) != 0) {
		pd_config_problem_add(problems, PD_CONFIG_ERROR, line, "%s", err.text);
		return;
	}
	pd_free(entry->value.text);
	*entry = (struct pd_config_entry){ .value = value, .origin = origin, .line = line };
}

static int take_defaults(struct pd_config *config, struct pd_error *err)
{
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		const struct pd_setting *setting = pd_setting((enum pd_setting_id)i);
		int result = pd_setting_parse(setting, setting->name, pd_slice_string(setting->initial),
					      &config->effective[i].value, err);

		if (result != 0)
			return result;
	}
	return 0;
}

static const char *variable(char *const *environment, const char *name)
{
	size_t size = strlen(name);

	for (; *environment != NULL; environment++)
		if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
			return *environment + size + 1;
	return NULL;
}

/* A variable that nearly has a setting's name was meant to be one. Others may be anybody's: an orchestrator sets PERDURE_PORT
 * for a service that is called perdure. */
static void look_for_misspelt(char *const *environment, struct pd_config_problems *problems)
{
	char names[PD_SETTING_COUNT][PD_SETTING_NAME_SIZE], given[PD_SETTING_NAME_SIZE];
	const char *candidates[PD_SETTING_COUNT + 1];

	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		pd_setting_environment_name(pd_setting((enum pd_setting_id)i), names[i]);
		candidates[i] = names[i] + strlen(VARIABLE_PREFIX);
	}
	candidates[PD_SETTING_COUNT] = NULL;
	for (; *environment != NULL; environment++) {
		size_t size = strcspn(*environment, "=");
		bool known = false;
		const char *nearest;

		if (strncmp(*environment, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0 ||
		    size >= sizeof given)
			continue;
		(void)snprintf(given, sizeof given, "%.*s", (int)(size - strlen(VARIABLE_PREFIX)),
			       *environment + strlen(VARIABLE_PREFIX));
		for (size_t i = 0; i < PD_SETTING_COUNT; i++)
			known = known || strcmp(given, candidates[i]) == 0;
		nearest = known || strlen(given) < 4 || strcmp(given, "CONFIG") == 0
				  ? NULL
				  : pd_nearest_name(given, candidates);
		if (nearest != NULL)
			pd_config_problem_add(problems, PD_CONFIG_WARNING, 0,
					      "%s%s is no setting and does nothing; did you mean %s%s?",
					      VARIABLE_PREFIX, given, VARIABLE_PREFIX, nearest);
	}
}

static void take_environment(struct pd_config *config, struct pd_config_problems *problems)
{
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		enum pd_setting_id id = (enum pd_setting_id)i;
		char name[PD_SETTING_NAME_SIZE];
		const char *value;

		pd_setting_environment_name(pd_setting(id), name);
		value = variable(config->sources.environment, name);
		if (value != NULL)
			pd_config_take(config, id, PD_ORIGIN_ENVIRONMENT, 0, name, pd_slice_string(value),
				       problems);
	}
	look_for_misspelt(config->sources.environment, problems);
}

static void take_flags(struct pd_config *config, struct pd_config_problems *problems)
{
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		const struct pd_setting *setting = pd_setting((enum pd_setting_id)i);
		const char *value = config->sources.flags[i];
		char where[PD_SETTING_NAME_SIZE];

		if (value == NULL)
			continue;
		(void)snprintf(where, sizeof where, "--%s", setting->name);
		if ((setting->flags & PD_SETTING_SECRET) != 0) {
			pd_config_problem_add(problems, PD_CONFIG_ERROR, 0,
					      "%s would be seen by everybody who can list processes; put it "
					      "into the configuration file or the environment",
					      where);
			continue;
		}
		pd_config_take(config, (enum pd_setting_id)i, PD_ORIGIN_FLAG, 0, where,
			       pd_slice_string(value), problems);
	}
}

/* Everything that the sources say, into `effective`. */
static int load(struct pd_config *config, struct pd_config_problems *problems, struct pd_error *err)
{
	int result = take_defaults(config, err);

	if (result != 0)
		return result;
	if (config->sources.file != NULL)
		pd_config_take_file(config, problems);
	if (config->sources.environment != NULL)
		take_environment(config, problems);
	if (config->sources.flags != NULL)
		take_flags(config, problems);
	pd_config_check(config, problems);
	pd_config_problems_sort(problems);
	return 0;
}

/* ---- life ---- */

int pd_config_new(const struct pd_config_sources *sources, struct pd_config **ret_config,
		  struct pd_config_problems *problems, struct pd_error *err)
{
	struct pd_config *config = pd_calloc(1, sizeof *config);
	int result;

	if (config == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the configuration");
	config->sources = *sources;
	result = load(config, problems, err);
	for (size_t i = 0; i < PD_SETTING_COUNT && result == 0; i++)
		if (value_copy(&config->effective[i].value, &config->loaded[i].value) != 0)
			result = pd_error_set(err, PD_NO_MEMORY, "out of memory for the configuration");
	if (result != 0) {
		pd_config_free(config);
		return result;
	}
	*ret_config = config;
	return 0;
}

void pd_config_free(struct pd_config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		pd_free(config->effective[i].value.text);
		pd_free(config->loaded[i].value.text);
	}
	pd_free(config);
}

/* ---- while the server runs ---- */

void pd_config_attach(struct pd_config *config, const struct pd_config_host *host)
{
	config->host = *host;
}

/* Understand the text as a new value of a setting that may change. *ret_value's text is the caller's. */
static int understand_change(const struct pd_config *config, enum pd_setting_id id, struct pd_slice text,
			     struct pd_setting_value *ret_value, struct pd_error *err)
{
	const struct pd_setting *setting = pd_setting(id);
	int result = pd_setting_parse(setting, "the value", text, ret_value, err);

	if (result != 0 || (setting->flags & PD_SETTING_LIVE) != 0 ||
	    value_equal(ret_value, &config->effective[id].value))
		return result;
	pd_free(ret_value->text);
	if ((setting->flags & PD_SETTING_SECRET) != 0)
		return pd_error_set(err, PD_INVALID, "it needs a restart: put %s into the configuration file",
				    setting->path);
	return pd_error_set(err, PD_INVALID,
			    "it needs a restart: put %s into the configuration file, or start with --%s",
			    setting->path, setting->name);
}

int pd_config_check_change(const struct pd_config *config, enum pd_setting_id id, struct pd_slice text,
			   struct pd_error *err)
{
	struct pd_setting_value value = { 0 };
	int result = understand_change(config, id, text, &value, err);

	if (result == 0)
		pd_free(value.text);
	return result;
}

/* Make it true, and then so. The value's text is taken over, also on an error. */
static int apply(struct pd_config *config, enum pd_setting_id id, struct pd_setting_value value,
		 enum pd_origin origin, unsigned line, struct pd_error *err)
{
	struct pd_config_entry *entry = config->effective + id;
	int result = 0;

	if (!value_equal(&value, &entry->value)) {
		PD_ASSERT(config->host.apply != NULL);
		result = config->host.apply(config->host.context, id, &value, err);
	}
	if (result != 0) {
		pd_free(value.text);
		return result;
	}
	pd_free(entry->value.text);
	*entry = (struct pd_config_entry){ .value = value, .origin = origin, .line = line };
	return 0;
}

int pd_config_change(struct pd_config *config, enum pd_setting_id id, struct pd_slice text,
		     struct pd_error *err)
{
	struct pd_setting_value value = { 0 };
	int result = understand_change(config, id, text, &value, err);

	if (result != 0)
		return result;
	if ((pd_setting(id)->flags & PD_SETTING_LIVE) == 0) {
		/* It says what is so already. */
		pd_free(value.text);
		return 0;
	}
	return apply(config, id, value, PD_ORIGIN_LIVE, 0, err);
}

/* One setting of a reload: `fresh` is what the sources say now, and may lose its text. */
static void take_fresh(struct pd_config *config, enum pd_setting_id id, struct pd_config_entry *fresh,
		       struct pd_config_problems *problems)
{
	const struct pd_setting *setting = pd_setting(id);
	struct pd_setting_value value = fresh->value;
	char shown[PD_SETTING_TEXT_MAX + 1];
	struct pd_error err;

	pd_setting_format(setting, &value, false, shown);
	if ((setting->flags & PD_SETTING_LIVE) == 0) {
		if (!value_equal(&value, &config->effective[id].value))
			pd_config_problem_add(problems, PD_CONFIG_WARNING, fresh->line,
					      "%s = %.200s needs a restart of the server", setting->path,
					      shown);
		return;
	}
	fresh->value.text = NULL;
	if (apply(config, id, value, fresh->origin, fresh->line, &err) != 0)
		pd_config_problem_add(problems, PD_CONFIG_WARNING, fresh->line,
				      "%s stays as it is, it cannot be %.200s: %s", setting->path, shown,
				      err.text);
	else
		pd_config_problem_add(problems, PD_CONFIG_NOTE, fresh->line, "%s is %.200s now",
				      setting->path, shown);
}

int pd_config_reload(struct pd_config *config, struct pd_config_problems *problems, struct pd_error *err)
{
	struct pd_config *fresh;
	int result = pd_config_new(&config->sources, &fresh, problems, err);

	if (result != 0 || problems->errors > 0) {
		if (result == 0)
			pd_config_free(fresh);
		return result;
	}
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		if (value_equal(&fresh->loaded[i].value, &config->loaded[i].value))
			continue;
		take_fresh(config, (enum pd_setting_id)i, fresh->effective + i, problems);
		pd_free(config->loaded[i].value.text);
		config->loaded[i] = fresh->loaded[i];
		fresh->loaded[i].value.text = NULL;
	}
	pd_config_problems_sort(problems);
	pd_config_free(fresh);
	return 0;
}
