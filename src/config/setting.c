#include "config/setting.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/memory.h"
#include "config/value.h"

#define CHOICES_MAX     16
#define CHOICE_SIZE_MAX 32
#define TEXT_SHOWN      64 /* bytes of a wrong value that an error repeats */
#define REDIS_PREFIX    "perdure-"
#define VARIABLE_PREFIX "PERDURE_"

static const struct pd_setting settings[PD_SETTING_COUNT] = {
#define X(id, name, path, redis, kind, flags, least, most, initial, argument, help) \
	{ name, path, redis, PD_SETTING_##kind, flags, least, most, initial, argument, help },
	PD_SETTING_LIST(X)
#undef X
};

const struct pd_setting *pd_setting(enum pd_setting_id id)
{
	PD_ASSERT(id < PD_SETTING_COUNT);
	return settings + id;
}

/* ---- names ---- */

enum pd_setting_id pd_setting_by_path(struct pd_slice path)
{
	for (size_t i = 0; i < PD_SETTING_COUNT; i++)
		if (pd_slice_equal(path, pd_slice_string(settings[i].path)))
			return (enum pd_setting_id)i;
	return PD_SETTING_COUNT;
}

enum pd_setting_id pd_setting_by_config_name(struct pd_slice name)
{
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		char own[PD_SETTING_NAME_SIZE];

		pd_setting_config_name(settings + i, own);
		if (pd_slice_equal_nocase(name, own))
			return (enum pd_setting_id)i;
	}
	return PD_SETTING_COUNT;
}

void pd_setting_environment_name(const struct pd_setting *setting, char name[PD_SETTING_NAME_SIZE])
{
	size_t at = (size_t)snprintf(name, PD_SETTING_NAME_SIZE, VARIABLE_PREFIX);

	for (const char *from = setting->name; *from != '\0' && at + 1 < PD_SETTING_NAME_SIZE; from++) {
		char c = *from;

		if (c == '-')
			c = '_';
		else if (c >= 'a' && c <= 'z')
			c = (char)(c - ('a' - 'A'));
		name[at++] = c;
	}
	name[at] = '\0';
}

void pd_setting_config_name(const struct pd_setting *setting, char name[PD_SETTING_NAME_SIZE])
{
	(void)snprintf(name, PD_SETTING_NAME_SIZE, "%s%s", setting->redis != NULL ? "" : REDIS_PREFIX,
		       setting->redis != NULL ? setting->redis : setting->name);
}

/* ---- choices ---- */

/* The words of a choice, and NULL behind the last. They lie in `words`. */
static size_t choices_of(const struct pd_setting *setting, char words[CHOICES_MAX][CHOICE_SIZE_MAX],
			 const char *list[CHOICES_MAX + 1])
{
	const char *from = setting->argument;
	size_t count = 0;

	for (; from != NULL && count < CHOICES_MAX; count++) {
		size_t size = strcspn(from, "|");

		(void)snprintf(words[count], CHOICE_SIZE_MAX, "%.*s", (int)size, from);
		list[count] = words[count];
		from = from[size] == '|' ? from + size + 1 : NULL;
	}
	list[count] = NULL;
	return count;
}

static void append(char *text, size_t size, const char *more)
{
	size_t used = strlen(text);

	(void)snprintf(text + used, size - used, "%s", more);
}

/* "a, b or c" */
static void list_choices(const char *const *list, size_t count, char text[256])
{
	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		append(text, 256, i == 0 ? "" : i + 1 == count ? " or " : ", ");
		append(text, 256, list[i]);
	}
}

static int parse_choice(const struct pd_setting *setting, const char *where, struct pd_slice text,
			struct pd_setting_value *value, struct pd_error *err)
{
	char words[CHOICES_MAX][CHOICE_SIZE_MAX], all[256], given[TEXT_SHOWN];
	const char *list[CHOICES_MAX + 1];
	size_t count = choices_of(setting, words, list);
	const char *nearest;

	for (size_t i = 0; i < count; i++)
		if (pd_slice_equal_nocase(text, list[i])) {
			value->number = (int64_t)i;
			value->text = pd_strdup(list[i]);
			return value->text != NULL ? 0 : pd_error_set(err, PD_NO_MEMORY, "out of memory");
		}
	list_choices(list, count, all);
	(void)snprintf(given, sizeof given, "%.*s", (int)(text.size < TEXT_SHOWN ? text.size : TEXT_SHOWN),
		       (const char *)text.data);
	nearest = pd_nearest_name(given, list);
	if (nearest != NULL)
		return pd_error_set(err, PD_INVALID, "%s is %s, not \"%s\"; did you mean %s?", where, all,
				    given, nearest);
	return pd_error_set(err, PD_INVALID, "%s is %s, not \"%s\"", where, all, given);
}

/* ---- understanding ---- */

static const char *kind_words(enum pd_setting_kind kind)
{
	switch (kind) {
	case PD_SETTING_SWITCH:
		return "yes or no";
	case PD_SETTING_NUMBER:
		return "a number";
	case PD_SETTING_SIZE:
		return "a size such as 64MiB, 1GiB or 100k";
	case PD_SETTING_DURATION:
		return "a duration such as 100ms, 2s or 5m";
	case PD_SETTING_TEXT:
	case PD_SETTING_CHOICE:
		break;
	}
	return "a text";
}

/* A limit as one would write it. */
static void format_number(enum pd_setting_kind kind, int64_t number, char text[PD_VALUE_SIZE])
{
	if (kind == PD_SETTING_SIZE && number >= 0)
		pd_format_size((uint64_t)number, text);
	else if (kind == PD_SETTING_DURATION && number >= 0)
		pd_format_duration_ms((uint64_t)number, text);
	else
		(void)snprintf(text, PD_VALUE_SIZE, "%lld", (long long)number);
}

static bool parse_number(enum pd_setting_kind kind, struct pd_slice text, int64_t *ret_number)
{
	uint64_t number = 0;
	bool on = false, understood = false;

	switch (kind) {
	case PD_SETTING_SWITCH:
		understood = pd_parse_switch(text, &on);
		*ret_number = on;
		return understood;
	case PD_SETTING_NUMBER:
		return pd_slice_to_int64(text, ret_number);
	case PD_SETTING_SIZE:
		understood = pd_parse_size(text, &number);
		break;
	case PD_SETTING_DURATION:
		understood = pd_parse_duration_ms(text, &number);
		break;
	case PD_SETTING_TEXT:
	case PD_SETTING_CHOICE:
		break;
	}
	if (!understood || number > INT64_MAX)
		return false;
	*ret_number = (int64_t)number;
	return true;
}

static int check_range(const struct pd_setting *setting, const char *where, struct pd_slice text,
		       int64_t number, struct pd_error *err)
{
	char least[PD_VALUE_SIZE], most[PD_VALUE_SIZE];
	int shown = (int)(text.size < TEXT_SHOWN ? text.size : TEXT_SHOWN);

	if (setting->kind == PD_SETTING_SWITCH ||
	    (number >= setting->least && (setting->most == 0 || number <= setting->most)))
		return 0;
	format_number(setting->kind, setting->least, least);
	format_number(setting->kind, setting->most, most);
	if (setting->most == 0 || setting->most == INT64_MAX)
		return pd_error_set(err, PD_INVALID, "%s %.*s is too little: at least %s", where, shown,
				    (const char *)text.data, least);
	return pd_error_set(err, PD_INVALID, "%s %.*s is out of range: %s to %s", where, shown,
			    (const char *)text.data, least, most);
}

static int parse_text(const char *where, struct pd_slice text, struct pd_setting_value *value,
		      struct pd_error *err)
{
	if (text.size > PD_SETTING_TEXT_MAX)
		return pd_error_set(err, PD_INVALID, "%s is too long: %zu bytes, at most %d", where,
				    text.size, PD_SETTING_TEXT_MAX);
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < ' ' || text.data[i] == 127)
			return pd_error_set(err, PD_INVALID,
					    "%s has a control character (0x%02x) in it; take it out", where,
					    text.data[i]);
	value->text = pd_malloc(text.size + 1);
	if (value->text == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory");
	if (text.size > 0)
		memcpy(value->text, text.data, text.size);
	value->text[text.size] = '\0';
	return 0;
}

int pd_setting_parse(const struct pd_setting *setting, const char *where, struct pd_slice text,
		     struct pd_setting_value *ret_value, struct pd_error *err)
{
	struct pd_setting_value value = { 0 };
	int result = 0;

	if (setting->kind == PD_SETTING_TEXT)
		result = parse_text(where, text, &value, err);
	else if (setting->kind == PD_SETTING_CHOICE)
		result = parse_choice(setting, where, text, &value, err);
	else if ((setting->flags & PD_SETTING_AUTO) != 0 && pd_slice_equal_nocase(text, "auto"))
		value.number = 0;
	else if (!parse_number(setting->kind, text, &value.number))
		result = pd_error_set(
			err, PD_INVALID, "%s is %s%s, not \"%.*s\"", where, kind_words(setting->kind),
			(setting->flags & PD_SETTING_AUTO) != 0 ? ", or auto" : "",
			(int)(text.size < TEXT_SHOWN ? text.size : TEXT_SHOWN), (const char *)text.data);
	else
		result = check_range(setting, where, text, value.number, err);
	if (result == 0)
		*ret_value = value;
	return result;
}

/* ---- showing ---- */

void pd_setting_format(const struct pd_setting *setting, const struct pd_setting_value *value, bool plain,
		       char text[PD_SETTING_TEXT_MAX + 1])
{
	char number[PD_VALUE_SIZE];

	if (value->text != NULL) {
		if ((setting->flags & PD_SETTING_SECRET) != 0)
			(void)snprintf(text, PD_SETTING_TEXT_MAX + 1, "%s",
				       value->text[0] != '\0' ? "(set)" : "");
		else
			(void)snprintf(text, PD_SETTING_TEXT_MAX + 1, "%s", value->text);
		return;
	}
	if (setting->kind == PD_SETTING_SWITCH)
		(void)snprintf(number, sizeof number, "%s", value->number != 0 ? "yes" : "no");
	else if (!plain && (setting->flags & PD_SETTING_AUTO) != 0 && value->number == 0)
		(void)snprintf(number, sizeof number, "auto");
	else if (plain && setting->kind == PD_SETTING_SIZE)
		(void)snprintf(number, sizeof number, "%lld", (long long)value->number);
	else
		format_number(setting->kind, value->number, number);
	(void)snprintf(text, PD_SETTING_TEXT_MAX + 1, "%s", number);
}

void pd_setting_describe_values(const struct pd_setting *setting, char text[256])
{
	char words[CHOICES_MAX][CHOICE_SIZE_MAX], least[PD_VALUE_SIZE], most[PD_VALUE_SIZE];
	const char *list[CHOICES_MAX + 1];

	if (setting->kind == PD_SETTING_CHOICE) {
		list_choices(list, choices_of(setting, words, list), text);
		return;
	}
	(void)snprintf(text, 256, "%s", kind_words(setting->kind));
	if (setting->kind == PD_SETTING_TEXT || setting->kind == PD_SETTING_SWITCH)
		return;
	format_number(setting->kind, setting->least, least);
	format_number(setting->kind, setting->most, most);
	if (setting->most != 0 && setting->most != INT64_MAX)
		(void)snprintf(text, 256, "%s, %s to %s", kind_words(setting->kind), least, most);
	else if (setting->least != 0)
		(void)snprintf(text, 256, "%s, at least %s", kind_words(setting->kind), least);
	if ((setting->flags & PD_SETTING_AUTO) != 0)
		append(text, 256, "; or auto");
}
