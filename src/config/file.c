/* A configuration file: read, taken apart, and each key compared with the table. */
#include <stdio.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "config/config_private.h"
#include "config/leaf.h"
#include "config/value.h"
#include "os/os.h"

#define KEY_SHOWN 100 /* bytes of a key that an error repeats */

/* ---- one key ---- */

struct reading {
	struct pd_config *config;
	struct pd_config_problems *problems;
	unsigned lines[PD_SETTING_COUNT]; /* where each was found; 0: not yet */
};

/* The nearest key of the table that the path names, else one whose own name or flag is the same, else the nearest path. */
static const char *nearest_path(const char *path)
{
	const char *candidates[PD_SETTING_COUNT + 1], *nearest;
	size_t table = strcspn(path, "."), count = 0;
	const char *last = path[table] == '.' ? path + table + 1 : path;

	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		const char *known = pd_setting((enum pd_setting_id)i)->path;

		if (path[table] == '.' && strncmp(known, path, table + 1) == 0)
			candidates[count++] = known + table + 1;
	}
	candidates[count] = NULL;
	nearest = pd_nearest_name(last, candidates);
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		const struct pd_setting *setting = pd_setting((enum pd_setting_id)i);

		if (nearest != NULL && strcmp(nearest, strchr(setting->path, '.') + 1) == 0 &&
		    strncmp(setting->path, path, table + 1) == 0)
			return setting->path;
	}
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		const struct pd_setting *setting = pd_setting((enum pd_setting_id)i);

		if (strcmp(last, setting->name) == 0 || strcmp(last, strchr(setting->path, '.') + 1) == 0)
			return setting->path;
		candidates[i] = setting->path;
	}
	candidates[PD_SETTING_COUNT] = NULL;
	/* In a table that is known, a neighbour's name would have been near. */
	return count > 0 ? NULL : pd_nearest_name(path, candidates);
}

/* Is it the name of a table that settings lie in? */
static bool is_table(const char *path)
{
	size_t size = strlen(path);

	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		const char *known = pd_setting((enum pd_setting_id)i)->path;

		if (strncmp(known, path, size) == 0 && known[size] == '.')
			return true;
	}
	return false;
}

static void say_unknown(struct reading *reading, const struct pd_config_leaf *leaf)
{
	const char *nearest = nearest_path(leaf->path);

	if (leaf->is_table && is_table(leaf->path))
		return;
	if (is_table(leaf->path))
		pd_config_problem_add(reading->problems, PD_CONFIG_ERROR, leaf->line,
				      "%.*s is a table: settings go into it", KEY_SHOWN, leaf->path);
	else if (nearest != NULL)
		pd_config_problem_add(reading->problems, PD_CONFIG_ERROR, leaf->line,
				      "there is no setting %.*s; did you mean %s?", KEY_SHOWN, leaf->path,
				      nearest);
	else
		pd_config_problem_add(reading->problems, PD_CONFIG_ERROR, leaf->line,
				      "there is no setting %.*s", KEY_SHOWN, leaf->path);
}

static void take_leaf(void *context, const struct pd_config_leaf *leaf)
{
	struct reading *reading = context;
	enum pd_setting_id id = pd_setting_by_path(pd_slice_string(leaf->path));
	const struct pd_setting *setting;

	if (id == PD_SETTING_COUNT) {
		say_unknown(reading, leaf);
		return;
	}
	setting = pd_setting(id);
	if (leaf->kind == PD_CONFIG_OTHER)
		pd_config_problem_add(reading->problems, PD_CONFIG_ERROR, leaf->line,
				      "%s is one value: a text, a whole number, true or false", leaf->path);
	else if (leaf->kind != PD_CONFIG_STRING &&
		 (setting->kind == PD_SETTING_TEXT || setting->kind == PD_SETTING_CHOICE))
		pd_config_problem_add(reading->problems, PD_CONFIG_ERROR, leaf->line,
				      "%s is a text in quotes, not %.*s", leaf->path, (int)leaf->size,
				      leaf->text);
	else
		pd_config_take(reading->config, id, PD_ORIGIN_FILE, leaf->line, leaf->path,
			       pd_slice(leaf->text, leaf->size), reading->problems);
}

static void take_wrong(void *context, unsigned line, const char *text)
{
	struct reading *reading = context;

	pd_config_problem_add(reading->problems, PD_CONFIG_ERROR, line, "%s", text);
}

/* ---- the file ---- */

/* Who may read and change it. */
static void check_permissions(const struct pd_config *config, const struct pd_os_file_info *info,
			      struct pd_config_problems *problems)
{
	bool secret = false;

	for (size_t i = 0; i < PD_SETTING_COUNT; i++)
		secret = secret || (config->effective[i].origin == PD_ORIGIN_FILE &&
				    (pd_setting((enum pd_setting_id)i)->flags & PD_SETTING_SECRET) != 0);
	if ((info->mode & 022) != 0)
		pd_config_problem_add(problems, PD_CONFIG_WARNING, 0,
				      "others than its owner can change %s (mode %03o): chmod go-w it",
				      config->sources.file, info->mode & 0777);
	if (secret && (info->mode & 07) != 0)
		pd_config_problem_add(
			problems, PD_CONFIG_ERROR, 0,
			"everybody on this machine can read %s (mode %03o), and there is a secret "
			"in it: chmod o-rwx it",
			config->sources.file, info->mode & 0777);
}

static int read_whole(struct pd_config *config, struct pd_buffer *buffer, struct pd_os_file_info *ret_info,
		      struct pd_error *err)
{
	struct pd_os *os = config->sources.os;
	struct pd_os_file *file = NULL;
	size_t size = 0;
	int result = pd_os_info(os, config->sources.file, ret_info, err);

	if (result == PD_NOT_FOUND)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"there is no file %s: 'perdure config show > FILE' writes one to begin with",
			config->sources.file);
	if (result == 0 && ret_info->is_directory)
		return pd_error_set(err, PD_INVALID, "%s is a directory, not a configuration file",
				    config->sources.file);
	if (result == 0 && ret_info->is_special)
		return pd_error_set(err, PD_INVALID,
				    "%s is a pipe or a device, not a configuration file: write it to a file",
				    config->sources.file);
	if (result == 0)
		result = pd_os_open(os, config->sources.file, PD_OS_READ, &file, err);
	if (result == 0)
		result = pd_buffer_reserve(buffer, PD_CONFIG_FILE_MAX + 1);
	/* One byte more than it may have, whatever its size is said to be. */
	if (result == 0)
		result = pd_os_read(file, buffer->data, PD_CONFIG_FILE_MAX + 1, 0, &size, err);
	pd_os_close(file);
	buffer->size = size;
	if (result == 0 && size > PD_CONFIG_FILE_MAX)
		return pd_error_set(
			err, PD_TOO_LARGE,
			"%s has more than 1MiB, which no configuration needs: is it the right file?",
			config->sources.file);
	return result;
}

static bool is_json(const char *path)
{
	size_t size = strlen(path);

	return size > 5 && strcmp(path + size - 5, ".json") == 0;
}

void pd_config_take_file(struct pd_config *config, struct pd_config_problems *problems)
{
	struct reading reading = { .config = config, .problems = problems };
	struct pd_config_reader reader = { &reading, take_leaf, take_wrong };
	struct pd_os_file_info info = { 0 };
	struct pd_buffer buffer;
	struct pd_error err = { .text = "out of memory for the configuration file" };

	pd_buffer_init(&buffer, PD_CONFIG_FILE_MAX + 1);
	if (read_whole(config, &buffer, &info, &err) != 0) {
		pd_config_problem_add(problems, PD_CONFIG_ERROR, 0, "%s", err.text);
	} else {
		if (is_json(config->sources.file))
			pd_config_read_json((const char *)buffer.data, buffer.size, &reader);
		else
			pd_config_read_toml((const char *)buffer.data, buffer.size, &reader);
		check_permissions(config, &info, problems);
	}
	pd_buffer_done(&buffer);
}
