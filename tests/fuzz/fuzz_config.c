/* A configuration file of any bytes: it is understood or refused, each problem with a line that the file has, and what has been
 * understood is in range. The first byte chooses the format. */
#include <string.h>

#include "base/assert.h"
#include "config/config.h"
#include "os/os.h"
#include "os/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_values(const struct pd_config *config)
{
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		enum pd_setting_id id = (enum pd_setting_id)i;
		const struct pd_setting *setting = pd_setting(id);
		const struct pd_setting_value *value = pd_config_value(config, id);
		bool automatic = (setting->flags & PD_SETTING_AUTO) != 0 && value->number == 0;

		if (value->text != NULL)
			PD_ASSERT(strlen(value->text) <= PD_SETTING_TEXT_MAX);
		else if (setting->kind != PD_SETTING_SWITCH && !automatic)
			PD_ASSERT(value->number >= setting->least &&
				  (setting->most == 0 || value->number <= setting->most));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = size > 0 && (data[0] & 1) != 0 ? "c.json" : "c.toml";
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct pd_config_sources sources = { .file = path };
	struct pd_config_problems problems = { 0 };
	struct pd_config *config = NULL;
	struct pd_os_file *file;
	struct pd_error err;
	unsigned lines = 1;

	if (size == 0)
		return 0;
	for (size_t i = 1; i < size; i++)
		lines += data[i] == '\n';
	PD_ASSERT(pd_os_sim_new(&machine, &sources.os, &err) == 0);
	PD_ASSERT(pd_os_open(sources.os, path, PD_OS_WRITE | PD_OS_CREATE, &file, &err) == 0);
	PD_ASSERT(pd_os_write(file, data + 1, size - 1, 0, &err) == 0);
	pd_os_close(file);
	PD_ASSERT(pd_config_new(&sources, &config, &problems, &err) == 0);
	for (size_t i = 0; i < problems.count; i++)
		PD_ASSERT(problems.items[i].text[0] != '\0' && problems.items[i].line <= lines);
	check_values(config);
	pd_config_problems_done(&problems);
	pd_config_free(config);
	pd_os_free(sources.os);
	return 0;
}
