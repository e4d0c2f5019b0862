/* Options: values, nearest names, where a value comes from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/options.h"

struct target {
	const char *text;
	uint64_t number, size, duration_ms;
	bool on, json;
};

static const struct pd_option table[] = {
	{ "text", "TEXT", PD_OPTION_TEXT, offsetof(struct target, text), 0, 0, "A text." },
	{ "number", "N", PD_OPTION_NUMBER, offsetof(struct target, number), 1, 100, "A number." },
	{ "some-size", "SIZE", PD_OPTION_SIZE, offsetof(struct target, size), 0, 0, "A size." },
	{ "duration", "MS", PD_OPTION_DURATION_MS, offsetof(struct target, duration_ms), 0, 0, "A time." },
	{ "switch", NULL, PD_OPTION_SWITCH, offsetof(struct target, on), 0, 0, "A switch." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct target, json), 0, 0, "A format." },
};
static const struct pd_options options = { .command = "perdure test",
					   .synopsis = "perdure test",
					   .about = "Tests.",
					   .table = table,
					   .count = sizeof table / sizeof *table,
					   .environment_count = sizeof table / sizeof *table };

static enum pd_options_outcome parse(struct target *target, int *ret_operand, int count, ...)
{
	char command[] = "test";
	char *argv[16] = { command };
	va_list words;

	va_start(words, count);
	for (int i = 1; i <= count; i++)
		argv[i] = va_arg(words, char *);
	va_end(words);
	*target = (struct target){ .text = "default", .number = 1 };
	return pd_options_parse(&options, count + 1, argv, target, ret_operand);
}

static void test_forms(void **state)
{
	struct target target;
	int operand;

	(void)state;
	assert_int_equal(parse(&target, &operand, 6, "--text", "a b", "--number=7", "--some-size", "64MiB",
			       "--switch"),
			 PD_OPTIONS_PARSED);
	assert_string_equal(target.text, "a b");
	assert_int_equal(target.number, 7);
	assert_int_equal(target.size, 64 << 20);
	assert_true(target.on);
	assert_int_equal(operand, 7);
	assert_int_equal(parse(&target, &operand, 3, "--number", "2", "file"), PD_OPTIONS_PARSED);
	assert_int_equal(operand, 3);
	assert_int_equal(parse(&target, &operand, 2, "--", "--number"), PD_OPTIONS_PARSED);
	assert_int_equal(operand, 2);
	assert_int_equal(parse(&target, &operand, 1, "--switch=no"), PD_OPTIONS_PARSED);
	assert_false(target.on);
	assert_int_equal(parse(&target, &operand, 1, "--text="), PD_OPTIONS_PARSED);
	assert_string_equal(target.text, "");
	assert_int_equal(parse(&target, &operand, 2, "-o", "json"), PD_OPTIONS_PARSED);
	assert_true(target.json);
	assert_int_equal(parse(&target, &operand, 2, "-o", "text"), PD_OPTIONS_PARSED);
	assert_false(target.json);
}

/* Options may stand anywhere among the operands, which keep their order. */
static void test_order(void **state)
{
	char command[] = "test", one[] = "one", number[] = "--number", seven[] = "7", two[] = "-",
	     text[] = "--text=x", end[] = "--", three[] = "--switch";
	char *argv[] = { command, one, number, seven, two, text, end, three, NULL };
	struct pd_options of_others = options;
	struct target target = { .number = 1 };
	int operand;

	(void)state;
	assert_int_equal(pd_options_parse(&options, 8, argv, &target, &operand), PD_OPTIONS_PARSED);
	assert_int_equal(target.number, 7);
	assert_string_equal(target.text, "x");
	assert_false(target.on);
	assert_int_equal(operand, 5);
	assert_ptr_equal(argv[5], one);
	assert_ptr_equal(argv[6], two);
	assert_ptr_equal(argv[7], three);
	/* Words for somebody else are left as they are. */
	of_others.operands = "[COMMAND [ARGUMENT...]]";
	target.number = 1;
	argv[1] = text;
	argv[2] = one;
	argv[3] = number;
	assert_int_equal(pd_options_parse(&of_others, 4, argv, &target, &operand), PD_OPTIONS_PARSED);
	assert_int_equal(operand, 2);
	assert_int_equal(target.number, 1);
	assert_ptr_equal(argv[3], number);
}

static int take(struct target *target, char *word)
{
	char command[] = "test";
	char *argv[] = { command, word, NULL };
	int status = -1;

	*target = (struct target){ .number = 1 };
	return pd_options_take(&options, 2, argv, target, &status) ? -1 : status;
}

static void test_take(void **state)
{
	char good[] = "--switch", wrong[] = "--swihc", word[] = "word", help[] = "--help";
	struct target target;

	(void)state;
	assert_int_equal(take(&target, good), -1);
	assert_true(target.on);
	assert_int_equal(take(&target, wrong), 2);
	assert_int_equal(take(&target, word), 2);
	assert_int_equal(take(&target, help), 0);
}

static void test_wrong(void **state)
{
	static const char *const words[] = { "--nubmer",
					     "--number",
					     "--number=0",
					     "--number=101",
					     "--number=x",
					     "--number=-1",
					     "--some-size=64Q",
					     "--switch=perhaps",
					     "--duration=1y",
					     "-n",
					     "-o=yaml",
					     "--"
					     "=x" };
	struct target target;
	int operand;

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (parse(&target, &operand, 1, words[i]) != PD_OPTIONS_WRONG)
			fail_msg("%s was taken", words[i]);
}

static void test_environment(void **state)
{
	struct target target;
	int operand;

	(void)state;
	assert_int_equal(setenv("PERDURE_SOME_SIZE", "1k", 1), 0);
	assert_int_equal(setenv("PERDURE_SWITCH", "yes", 1), 0);
	assert_int_equal(parse(&target, &operand, 0), PD_OPTIONS_PARSED);
	assert_int_equal(target.size, 1024);
	assert_true(target.on);
	assert_int_equal(parse(&target, &operand, 1, "--some-size=2k"), PD_OPTIONS_PARSED);
	assert_int_equal(target.size, 2048);
	assert_int_equal(setenv("PERDURE_SOME_SIZE", "much", 1), 0);
	assert_int_equal(parse(&target, &operand, 0), PD_OPTIONS_WRONG);
	assert_int_equal(unsetenv("PERDURE_SOME_SIZE"), 0);
	assert_int_equal(unsetenv("PERDURE_SWITCH"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),       cmocka_unit_test(test_order),
		cmocka_unit_test(test_wrong),       cmocka_unit_test(test_take),
		cmocka_unit_test(test_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
