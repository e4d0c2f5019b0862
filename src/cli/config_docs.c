#include "cli/config_docs.h"

#include <string.h>

#include "config/setting.h"

static const char head[] =
	"# Configuration\n"
	"\n"
	"<!-- Made by `perdure config docs`; a test compares. Change src/config/setting.h instead. -->\n"
	"\n"
	"A server needs no configuration. What it is told otherwise comes from three places, and the later "
	"wins:\n"
	"\n"
	"1. a file, named by `--config FILE` or `PERDURE_CONFIG`: TOML, or JSON if its name ends with "
	"`.json`;\n"
	"2. the environment: `--retention-time` is `PERDURE_RETENTION_TIME`;\n"
	"3. options of `perdure server`.\n"
	"\n"
	"```toml\n"
	"[server]\n"
	"data = \"/var/lib/perdure\"\n"
	"resp = 7379\n"
	"\n"
	"[memory]\n"
	"budget = \"1GiB\"\n"
	"\n"
	"[retention]\n"
	"time = \"24h\"\n"
	"size = \"10GiB\"\n"
	"```\n"
	"\n"
	"The same in JSON is `{ \"server\": { \"data\": \"/var/lib/perdure\", \"resp\": 7379 }, ... }`.\n"
	"\n"
	"- **Sizes** are texts such as `\"64MiB\"`, `\"1GiB\"` and `\"100k\"` (units are powers of 1024), or "
	"a number of bytes.\n"
	"- **Durations** are texts such as `\"100ms\"`, `\"2s\"`, `\"5m\"`, `\"24h\"` and `\"7d\"`, or a "
	"number of milliseconds.\n"
	"- **Switches** are `true` and `false`; outside of files also yes, no, on, off, 1 and 0.\n"
	"\n"
	"`perdure config check FILE` says everything that is wrong with a file at once, each with its line: "
	"keys that do not\n"
	"exist (with the nearest that does), values out of range (with the range), and, as warnings, what "
	"endangers data.\n"
	"`perdure config show --origin` prints every value and where it comes from; both take `-o json`. A "
	"server that is given\n"
	"a file with errors does not start, and ends with status 2. A file that others can change is warned "
	"of; one that\n"
	"holds a secret and that everybody can read is refused.\n"
	"\n"
	"## While the server runs\n"
	"\n"
	"Settings that are marked **live** below change at once by `CONFIG SET` over the Redis protocol, or "
	"by SIGHUP: then file\n"
	"and environment are read again, and what is different from what they said the last time is applied. "
	"What\n"
	"`CONFIG SET` has set stays until the file says something new about it, or the server ends: the "
	"server never\n"
	"writes its configuration file. If the file cannot be understood nothing changes, and the server "
	"says why. What needs\n"
	"a restart is named.\n";

/* `perdure` uses `code` in its texts: quotes of the help pages become that. */
static void print_help(struct pd_output *output, const char *help)
{
	bool list = false;

	while (*help != '\0') {
		size_t size = strcspn(help, "\n");

		/* Lines that are set in stay as they are. */
		if (!list && help[0] == ' ')
			pd_output_text(output, "\n");
		list = help[0] == ' ';
		pd_output_text(output, "%s%.*s\n", list ? "  " : "", (int)size, help);
		help += size + (help[size] == '\n');
	}
}

static void print_setting(struct pd_output *output, const struct pd_setting *setting)
{
	char variable[PD_SETTING_NAME_SIZE], name[PD_SETTING_NAME_SIZE], values[256];

	pd_setting_environment_name(setting, variable);
	pd_setting_config_name(setting, name);
	pd_setting_describe_values(setting, values);
	pd_output_text(output, "\n### %s\n\n", setting->path);
	print_help(output, setting->help);
	pd_output_text(output, "\n| value | default | option | environment | CONFIG | changes |\n"
			       "|---|---|---|---|---|---|\n");
	pd_output_text(output, "| %s | %s%s%s | `--%s` | `%s` | `%s` | %s |\n", values,
		       setting->initial[0] != '\0' ? "`" : "",
		       setting->initial[0] != '\0' ? setting->initial : "none",
		       setting->initial[0] != '\0' ? "`" : "", setting->name, variable, name,
		       (setting->flags & PD_SETTING_LIVE) != 0 ? "live" : "with a restart");
}

void pd_config_print_docs(struct pd_output *output)
{
	const char *table = "";
	size_t table_size = 0;

	pd_output_text(output, "%s", head);
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		const struct pd_setting *setting = pd_setting((enum pd_setting_id)i);
		size_t size = strcspn(setting->path, ".");

		if (size != table_size || strncmp(setting->path, table, size) != 0)
			pd_output_text(output, "\n## [%.*s]\n", (int)size, setting->path);
		table = setting->path;
		table_size = size;
		print_setting(output, setting);
	}
}
