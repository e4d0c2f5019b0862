/* `perdure config`: what is set, and whether a file would do. */
#include <stddef.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/config_docs.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "cli/verbs.h"
#include "os/os.h"
#include "server/server.h"

#define EXIT_STATUSES                                    \
	"Exit status:\n"                                 \
	"  0  nothing is wrong; there may be warnings\n" \
	"  2  something is wrong, or the command line is"

/* ---- show ---- */

struct show_given {
	struct pd_settings_given settings;
	bool origin, json;
};

static const struct pd_option show_table[] = {
	PD_SETTINGS_OPTIONS,
	{ "origin", NULL, PD_OPTION_SWITCH, offsetof(struct show_given, origin), 0, 0,
	  "Show where each value comes from, too: the default, FILE:LINE, a variable or an option." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct show_given, json), 0, 0,
	  "text (default) or json." },
};

static const struct pd_options show_options = {
	.command = "perdure config show",
	.synopsis = "perdure config show [--origin] [options of 'perdure server']",
	.about =
		"Prints what 'perdure server' with the same options, environment and file would run with: a\n"
		"configuration file that would do the same. A running server tells with CONFIG GET.",
	.table = show_table,
	.count = sizeof show_table / sizeof *show_table,
	.after = "Examples:\n"
		 "  perdure config show --origin --config /etc/perdure/perdure.toml\n"
		 "  perdure config show > perdure.toml\n"
		 "  perdure config show -o json | jq '.settings[] | select(.origin != \"default\")'\n"
		 "\n" EXIT_STATUSES,
};

/* A value as TOML. Quotes and backslashes are all that needs care: there are no control characters in it. */
static void print_value(struct pd_output *output, const struct pd_setting *setting, const char *text)
{
	bool number = setting->kind == PD_SETTING_NUMBER && strcmp(text, "auto") != 0;

	if (setting->kind == PD_SETTING_SWITCH) {
		pd_output_text(output, "%s", strcmp(text, "yes") == 0 ? "true" : "false");
		return;
	}
	pd_output_text(output, "%s", number ? "" : "\"");
	for (; *text != '\0'; text++)
		pd_output_text(output, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
	pd_output_text(output, "%s", number ? "" : "\"");
}

static void print_toml(struct pd_output *output, const struct pd_config *config, bool with_origin)
{
	const char *table = "";
	size_t table_size = 0;

	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		enum pd_setting_id id = (enum pd_setting_id)i;
		const struct pd_setting *setting = pd_setting(id);
		size_t size = strcspn(setting->path, ".");
		char text[PD_SETTING_TEXT_MAX + 1], origin[PD_ORIGIN_TEXT_SIZE];

		if (size != table_size || strncmp(setting->path, table, size) != 0) {
			pd_output_text(output, "%s[%.*s]\n", table_size > 0 ? "\n" : "", (int)size,
				       setting->path);
			table = setting->path;
			table_size = size;
		}
		pd_setting_format(setting, pd_config_value(config, id), false, text);
		pd_config_origin_text(config, id, origin);
		/* "(set)" is not the secret. */
		if ((setting->flags & PD_SETTING_SECRET) != 0)
			pd_output_text(output, "# ");
		pd_output_text(output, "%s = ", setting->path + size + 1);
		print_value(output, setting, text);
		if (with_origin)
			pd_output_text(output, "  # %s", origin);
		pd_output_text(output, "\n");
	}
}

static void print_problems_json(struct pd_output *output, const char *file,
				const struct pd_config_problems *problems)
{
	pd_output_open(output, "problems", '[');
	for (size_t i = 0; i < problems->count; i++) {
		const struct pd_config_problem *problem = problems->items + i;

		pd_output_open(output, NULL, '{');
		pd_output_string_field(output, "severity",
				       problem->severity == PD_CONFIG_ERROR     ? "error"
				       : problem->severity == PD_CONFIG_WARNING ? "warning"
										: "note");
		if (problem->line > 0) {
			pd_output_string_field(output, "file", file);
			pd_output_number_field(output, "line", problem->line);
		}
		pd_output_bytes_field(output, "text", pd_slice_string(problem->text));
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
}

static void print_json(struct pd_output *output, const struct pd_config *config,
		       const struct pd_config_problems *problems)
{
	pd_output_open(output, NULL, '{');
	pd_output_open(output, "settings", '[');
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		enum pd_setting_id id = (enum pd_setting_id)i;
		const struct pd_setting *setting = pd_setting(id);
		char text[PD_SETTING_TEXT_MAX + 1], origin[PD_ORIGIN_TEXT_SIZE];

		pd_setting_format(setting, pd_config_value(config, id), false, text);
		pd_config_origin_text(config, id, origin);
		pd_output_open(output, NULL, '{');
		pd_output_string_field(output, "setting", setting->path);
		pd_output_bytes_field(output, "value", pd_slice_string(text));
		pd_output_bytes_field(output, "origin", pd_slice_string(origin));
		pd_output_bool_field(output, "live", (setting->flags & PD_SETTING_LIVE) != 0);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
	print_problems_json(output, pd_config_file(config), problems);
	pd_output_close(output, '}');
	pd_output_end(output);
}

static int show(const struct show_given *given, struct pd_os *os)
{
	struct pd_output output = { .file = stdout };
	struct pd_config_problems problems = { 0 };
	struct pd_config *config = NULL;
	int status;

	if (!pd_settings_load(&given->settings, os, &config, &problems, &status)) {
		pd_config_problems_done(&problems);
		return status;
	}
	pd_settings_say(stderr, show_options.command, pd_config_file(config), &problems, PD_CONFIG_WARNING);
	if (given->json)
		print_json(&output, config, &problems);
	else
		print_toml(&output, config, given->origin);
	status = problems.errors > 0 ? PD_EXIT_USAGE : PD_EXIT_OK;
	if (!pd_output_finish(&output))
		status = PD_EXIT_FAILURE;
	pd_config_problems_done(&problems);
	pd_config_free(config);
	return status;
}

static int run_show(int argc, char **argv)
{
	struct show_given given = { 0 };
	struct pd_os *os = NULL;
	struct pd_error err;
	int status;

	if (!pd_options_take(&show_options, argc, argv, &given, &status))
		return status;
	if (pd_os_real_new(&os, &err) != 0) {
		(void)fprintf(stderr, "%s: %s\n", show_options.command, err.text);
		return PD_EXIT_FAILURE;
	}
	status = show(&given, os);
	pd_os_free(os);
	return status;
}

/* ---- check ---- */

struct check_given {
	bool json;
};

static const struct pd_option check_table[] = {
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct check_given, json), 0, 0,
	  "text (default) or json." },
};

static const struct pd_options check_options = {
	.command = "perdure config check",
	.synopsis = "perdure config check [-o json] FILE",
	.about =
		"Reads a configuration file as 'perdure server' would, without environment and options, and\n"
		"says everything that is wrong with it at once, with its line; and what may be regretted.",
	.table = check_table,
	.count = sizeof check_table / sizeof *check_table,
	.after = "Examples:\n"
		 "  perdure config check /etc/perdure/perdure.toml && systemctl reload perdure\n"
		 "\n" EXIT_STATUSES,
};

static int check(const char *file, struct pd_os *os, bool json)
{
	struct pd_config_sources sources = { .os = os, .file = file };
	struct pd_output output = { .file = stdout };
	struct pd_config_problems problems = { 0 };
	struct pd_config *config = NULL;
	struct pd_error err;
	int status = PD_EXIT_FAILURE;

	if (pd_config_new(&sources, &config, &problems, &err) != 0) {
		(void)fprintf(stderr, "%s: %s\n", check_options.command, err.text);
		goto out;
	}
	if (json) {
		pd_output_open(&output, NULL, '{');
		pd_output_string_field(&output, "file", file);
		pd_output_number_field(&output, "errors", problems.errors);
		pd_output_number_field(&output, "warnings", problems.warnings);
		print_problems_json(&output, file, &problems);
		pd_output_close(&output, '}');
		pd_output_end(&output);
	} else {
		pd_settings_say(stdout, NULL, file, &problems, PD_CONFIG_NOTE);
		pd_output_text(&output, "%s: %zu error%s, %zu warning%s\n", file, problems.errors,
			       problems.errors == 1 ? "" : "s", problems.warnings,
			       problems.warnings == 1 ? "" : "s");
	}
	status = problems.errors > 0 ? PD_EXIT_USAGE : PD_EXIT_OK;
	if (!pd_output_finish(&output))
		status = PD_EXIT_FAILURE;
out:
	pd_config_problems_done(&problems);
	pd_config_free(config);
	return status;
}

static int run_check(int argc, char **argv)
{
	struct check_given given = { 0 };
	struct pd_os *os = NULL;
	struct pd_error err;
	int operand, status;

	if (!pd_options_begin(&check_options, argc, argv, &given, &operand, &status))
		return status;
	if (operand + 1 != argc)
		return pd_options_wrong(&check_options, "it takes one file");
	if (pd_os_real_new(&os, &err) != 0) {
		(void)fprintf(stderr, "%s: %s\n", check_options.command, err.text);
		return PD_EXIT_FAILURE;
	}
	status = check(argv[operand], os, given.json);
	pd_os_free(os);
	return status;
}

/* ---- docs ---- */

static const struct pd_options docs_options = {
	.command = "perdure config docs",
	.synopsis = "perdure config docs",
	.about = "Prints docs/configuration.md: every setting, with its default, range and names.",
};

static int run_docs(int argc, char **argv)
{
	struct pd_output output = { .file = stdout };
	int status;

	if (!pd_options_take(&docs_options, argc, argv, NULL, &status))
		return status;
	pd_config_print_docs(&output);
	return pd_output_finish(&output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

/* ---- the subcommands ---- */

static const struct pd_verb verbs[] = {
	{ "show", "what a server would run with, and where it comes from", run_show },
	{ "check", "everything that is wrong with a configuration file", run_check },
	{ "docs", "every setting, as a page", run_docs },
};

static int run(int argc, char **argv)
{
	static const struct pd_verbs config = {
		.command = "perdure config",
		.synopsis = "perdure config show|check|docs [options]",
		.about = "Settings come from a file, the environment and the command line; the later wins. A "
			 "file is\n"
			 "TOML, or JSON if its name ends with .json:\n"
			 "\n"
			 "  [server]\n"
			 "  data = \"/var/lib/perdure\"\n"
			 "  resp = 7379\n"
			 "\n"
			 "  [memory]\n"
			 "  budget = \"1GiB\"",
		.table = verbs,
		.count = sizeof verbs / sizeof *verbs,
		.after = "Examples:\n"
			 "  perdure config check /etc/perdure/perdure.toml\n"
			 "  perdure config show --origin --config /etc/perdure/perdure.toml\n"
			 "\n" EXIT_STATUSES,
	};

	return pd_verbs_run(&config, argc, argv);
}

const struct pd_subcommand pd_subcommand_config = { "config", "show and check settings", run };
