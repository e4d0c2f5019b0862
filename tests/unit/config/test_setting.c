/* The table of settings: that it is whole, and how texts become values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "config/setting.h"

/* Of each setting: its default is a value of it and stands in its help, its names are its own, and what it prints as means the
 * same again. */
static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < PD_SETTING_COUNT; i++) {
		const struct pd_setting *setting = pd_setting((enum pd_setting_id)i);
		struct pd_setting_value value = { 0 }, again = { 0 };
		char name[PD_SETTING_NAME_SIZE], shown[PD_SETTING_TEXT_MAX + 1], wanted[256];
		struct pd_error err = { 0 };

		if (pd_setting_parse(setting, setting->name, pd_slice_string(setting->initial), &value,
				     &err) != 0)
			fail_msg("the default of %s is none: %s", setting->name, err.text);
		assert_int_equal(pd_setting_by_path(pd_slice_string(setting->path)), i);
		pd_setting_config_name(setting, name);
		assert_int_equal(pd_setting_by_config_name(pd_slice_string(name)), i);
		assert_non_null(strchr(setting->path, '.'));
		assert_true((setting->argument == NULL) == (setting->kind == PD_SETTING_SWITCH));
		(void)snprintf(wanted, sizeof wanted, "default %s", setting->initial);
		if (setting->kind != PD_SETTING_SWITCH && setting->initial[0] != '\0' &&
		    strstr(setting->help, wanted) == NULL && strstr(setting->help, "not built yet") == NULL)
			fail_msg("the help of %s does not say \"%s\"", setting->name, wanted);
		/* What lies in one table stands together: a file that is printed has each once. */
		for (size_t j = i; j-- > 0;) {
			const char *before = pd_setting((enum pd_setting_id)j)->path;
			size_t size = strcspn(setting->path, ".") + 1;

			if (strncmp(before, setting->path, size) == 0 &&
			    strncmp(pd_setting((enum pd_setting_id)(i - 1))->path, setting->path, size) != 0)
				fail_msg("%s stands apart from %s", setting->path, before);
		}
		pd_setting_format(setting, &value, false, shown);
		assert_int_equal(
			pd_setting_parse(setting, setting->name, pd_slice_string(shown), &again, &err), 0);
		assert_int_equal(again.number, value.number);
		pd_free(value.text);
		pd_free(again.text);
	}
}

/* What an error says: golden, since people read it. */
static void test_errors(void **state)
{
	static const struct {
		enum pd_setting_id id;
		const char *text, *error;
	} rows[] = {
		{ PD_SETTING_RESP, "x", "--it is a number, not \"x\"" },
		{ PD_SETTING_RESP, "70000", "--it 70000 is out of range: 0 to 65535" },
		{ PD_SETTING_RESP, "-1", "--it -1 is out of range: 0 to 65535" },
		{ PD_SETTING_RESP, "99999999999999999999", "--it is a number, not \"99999999999999999999\"" },
		{ PD_SETTING_MEMORY, "perhaps", "--it is yes or no, not \"perhaps\"" },
		{ PD_SETTING_MEMORY_BUDGET, "1KiB", "--it 1KiB is too little: at least 64MiB" },
		{ PD_SETTING_MEMORY_BUDGET, "much",
		  "--it is a size such as 64MiB, 1GiB or 100k, or auto, not \"much\"" },
		{ PD_SETTING_SYNC_INTERVAL, "2h", "--it 2h is out of range: 1ms to 1h" },
		{ PD_SETTING_SYNC_INTERVAL, "soon",
		  "--it is a duration such as 100ms, 2s or 5m, not \"soon\"" },
		{ PD_SETTING_DURABILITY, "stict",
		  "--it is none, performance, standard, strict or full, not \"stict\"; did you mean "
		  "strict?" },
		{ PD_SETTING_DURABILITY, "critical",
		  "--it is none, performance, standard, strict or full, not \"critical\"" },
		{ PD_SETTING_DATA, "a\nb", "--it has a control character (0x0a) in it; take it out" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct pd_setting_value value = { 0 };
		struct pd_error err = { 0 };

		assert_int_equal(pd_setting_parse(pd_setting(rows[i].id), "--it",
						  pd_slice_string(rows[i].text), &value, &err),
				 PD_INVALID);
		assert_string_equal(err.text, rows[i].error);
	}
}

static void test_long_texts(void **state)
{
	static char text[PD_SETTING_TEXT_MAX + 2];
	struct pd_setting_value value = { 0 };
	struct pd_error err = { 0 };

	(void)state;
	memset(text, 'x', sizeof text);
	assert_int_equal(pd_setting_parse(pd_setting(PD_SETTING_DATA), "data",
					  pd_slice(text, PD_SETTING_TEXT_MAX + 1), &value, &err),
			 PD_INVALID);
	assert_int_equal(pd_setting_parse(pd_setting(PD_SETTING_DURABILITY), "durability",
					  pd_slice(text, PD_SETTING_TEXT_MAX), &value, &err),
			 PD_INVALID);
	assert_int_equal(pd_setting_parse(pd_setting(PD_SETTING_DATA), "data",
					  pd_slice(text, PD_SETTING_TEXT_MAX), &value, &err),
			 0);
	assert_int_equal(strlen(value.text), PD_SETTING_TEXT_MAX);
	pd_free(value.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_long_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
