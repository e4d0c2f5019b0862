/* Finding commands by name, and patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "front/resp/front_private.h"

#define S(literal) ((struct pd_slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })

static void add(struct pd_resp_registry *registry, const char *name, int arity)
{
	struct pd_command command = { .name = name, .arity = arity, .group = "test" };

	assert_int_equal(pd_resp_registry_add(registry, &command, NULL, NULL), 0);
}

static void build(struct pd_resp_registry *registry)
{
	pd_resp_registry_init(registry);
	add(registry, "get", 2);
	add(registry, "set", -3);
	add(registry, "config|get", -3);
	add(registry, "config|set", -4);
	add(registry, "command", -1);
	add(registry, "command|count", 2);
	add(registry, "pd.use", -1);
	add(registry, "client|no-evict", 3);
	assert_int_equal(pd_resp_registry_seal(registry, NULL), 0);
}

static const char *found(const struct pd_resp_registry *registry, const struct pd_slice *words, size_t count)
{
	const struct pd_resp_entry *container;
	const struct pd_resp_entry *entry = pd_resp_registry_find(registry, words, count, &container);

	if (entry != NULL)
		return entry->name.text;
	return container != NULL ? "(subcommand)" : "(none)";
}
#define FIND(...)                                            \
	found(&registry, (struct pd_slice[]){ __VA_ARGS__ }, \
	      sizeof((struct pd_slice[]){ __VA_ARGS__ }) / sizeof(struct pd_slice))

static void test_find(void **state)
{
	struct pd_resp_registry registry;

	(void)state;
	build(&registry);
	assert_string_equal(FIND(S("get"), S("a")), "get");
	assert_string_equal(FIND(S("GeT"), S("a")), "get");
	assert_string_equal(FIND(S("PD.USE")), "pd.use");
	assert_string_equal(FIND(S("CONFIG"), S("Get"), S("x")), "config|get");
	assert_string_equal(FIND(S("client"), S("NO-EVICT"), S("on")), "client|no-evict");
	/* A container that no table names is there; "command" names itself. */
	assert_string_equal(FIND(S("config")), "config");
	assert_string_equal(FIND(S("command")), "command");
	assert_string_equal(FIND(S("command"), S("count")), "command|count");
	assert_string_equal(FIND(S("config"), S("nonsense")), "(subcommand)");
	assert_string_equal(FIND(S("config"), S("")), "(subcommand)");
	assert_string_equal(FIND(S("config|get"), S("x")), "(none)");
	assert_string_equal(FIND(S("gets")), "(none)");
	assert_string_equal(FIND(S("ge")), "(none)");
	assert_string_equal(FIND(S("")), "(none)");
	assert_string_equal(FIND(S("get\0")), "(none)");
	assert_string_equal(FIND(S("a name that is far too long for any command")), "(none)");
	assert_string_equal(FIND(S("config"), S("a name that is far too long for any command")),
			    "(subcommand)");
	pd_resp_registry_done(&registry);
}

/* Only letters have a case. */
static void test_case(void **state)
{
	struct pd_resp_registry registry;
	char name[] = "get";

	(void)state;
	build(&registry);
	for (int position = 0; position < 3; position++)
		for (int byte = 0; byte < 256; byte++) {
			char right = "get"[position];
			struct pd_slice word = pd_slice(name, 3);
			bool expected = byte == right || byte == right - 'a' + 'A';
			const struct pd_resp_entry *entry;

			name[position] = (char)byte;
			entry = pd_resp_registry_name(&registry, word);
			assert_int_equal(entry != NULL && entry->command.arity == 2, expected);
			name[position] = right;
		}
	assert_null(pd_resp_registry_name(&registry, S("pd\x0euse")));
	pd_resp_registry_done(&registry);
}

static void test_two_of_one_name(void **state)
{
	struct pd_resp_registry registry;
	struct pd_error err;

	(void)state;
	pd_resp_registry_init(&registry);
	add(&registry, "get", 2);
	add(&registry, "get", 3);
	assert_int_equal(pd_resp_registry_seal(&registry, &err), PD_EXISTS);
	pd_resp_registry_done(&registry);
}

static void test_arity(void **state)
{
	struct pd_resp_registry registry;
	const struct pd_resp_entry *get, *set;

	(void)state;
	build(&registry);
	get = pd_resp_registry_name(&registry, S("get"));
	set = pd_resp_registry_name(&registry, S("set"));
	assert_true(pd_resp_entry_takes(get, 2));
	assert_false(pd_resp_entry_takes(get, 1));
	assert_false(pd_resp_entry_takes(get, 3));
	assert_false(pd_resp_entry_takes(set, 2));
	assert_true(pd_resp_entry_takes(set, 3));
	assert_true(pd_resp_entry_takes(set, 100));
	pd_resp_registry_done(&registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_case),
		cmocka_unit_test(test_two_of_one_name),
		cmocka_unit_test(test_arity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
