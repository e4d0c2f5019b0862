/* Lines of the log: their forms, what is escaped, what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/os.h"
#include "os/sim.h"
#include "server/message.h"

struct heard {
	struct pd_os *os;
	struct pd_messages messages;
	char text[PD_MESSAGE_LINE + 1];
	unsigned lines;
};

static void hear(void *context, const void *line, size_t size)
{
	struct heard *heard = context;

	assert_true(size > 0 && size < sizeof heard->text);
	memcpy(heard->text, line, size);
	heard->text[size] = '\0';
	/* One line, whatever was in it. */
	assert_ptr_equal(strchr(heard->text, '\n'), heard->text + size - 1);
	heard->text[size - 1] = '\0';
	heard->lines++;
}

static void set_up(struct heard *heard, enum pd_message_format format, enum pd_os_stream stream)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct pd_error err;

	memset(heard, 0, sizeof *heard);
	assert_int_equal(pd_os_sim_new(&machine, &heard->os, &err), 0);
	pd_messages_init(&heard->messages, heard->os, format, PD_MESSAGE_INFO);
	heard->messages.stream = stream;
	heard->messages.write = hear;
	heard->messages.context = heard;
}

static void tear_down(struct heard *heard)
{
	pd_os_free(heard->os);
}

static void test_forms(void **state)
{
	static struct heard heard;

	(void)state;
	set_up(&heard, PD_MESSAGE_TEXT, PD_OS_STREAM_TERMINAL);
	pd_message(&heard.messages, PD_MESSAGE_INFO, "state", "up to LSN %d", 17);
	assert_string_equal(heard.text, "state: up to LSN 17");
	pd_message(&heard.messages, PD_MESSAGE_WARNING, "log", "damaged");
	assert_string_equal(heard.text, "log: warning: damaged");
	heard.messages.stream = PD_OS_STREAM_JOURNAL;
	pd_message(&heard.messages, PD_MESSAGE_ERROR, "log", "it \"failed\"");
	assert_string_equal(heard.text, "<3>log: error: it \"failed\"");
	pd_message_about(&heard.messages, PD_MESSAGE_INFO, "resp", 7, "closed");
	assert_string_equal(heard.text, "<6>resp: closed (connection 7)");
	heard.messages.stream = PD_OS_STREAM_OTHER;
	pd_message(&heard.messages, PD_MESSAGE_INFO, "state", "x");
	assert_int_equal(strlen(heard.text), strlen("2026-11-20T15:04:05.123Z state: x"));
	assert_string_equal(heard.text + 19 + 4, "Z state: x");
	tear_down(&heard);

	set_up(&heard, PD_MESSAGE_JSON, PD_OS_STREAM_OTHER);
	pd_message_about(&heard.messages, PD_MESSAGE_WARNING, "resp", 9, "said \"%s\"", "hi");
	assert_memory_equal(heard.text, "{\"time\":\"20", 11);
	assert_non_null(strstr(heard.text, "Z\",\"level\":\"warning\",\"room\":\"resp\",\"connection\":9,"
					   "\"message\":\"said \\\"hi\\\"\"}"));
	tear_down(&heard);
}

static void test_levels(void **state)
{
	static struct heard heard;

	(void)state;
	set_up(&heard, PD_MESSAGE_TEXT, PD_OS_STREAM_TERMINAL);
	pd_message(&heard.messages, PD_MESSAGE_DEBUG, "a", "no");
	assert_int_equal(heard.lines, 0);
	heard.messages.level = PD_MESSAGE_ERROR;
	pd_message(&heard.messages, PD_MESSAGE_WARNING, "a", "no");
	assert_int_equal(heard.lines, 0);
	pd_message(&heard.messages, PD_MESSAGE_ERROR, "a", "yes");
	assert_string_equal(heard.text, "a: error: yes");
	tear_down(&heard);
}

/* What a stranger has chosen stays on its line, and a terminal obeys none of it. */
static void test_escapes(void **state)
{
	static const char name[] = "a\n<0>b\r\t\x1b[31m\x7f\xc2\x9b\xff\xc3\xa4\"\\";
	static char longest[4 * PD_MESSAGE_SIZE];
	static struct heard heard;

	(void)state;
	set_up(&heard, PD_MESSAGE_TEXT, PD_OS_STREAM_TERMINAL);
	pd_message(&heard.messages, PD_MESSAGE_INFO, "a", "%s", name);
	assert_string_equal(heard.text, "a: a\\n<0>b\\r\\t\\x1b[31m\\x7f\\xc2\\x9b\\xff\xc3\xa4\"\\");
	heard.messages.format = PD_MESSAGE_JSON;
	pd_message(&heard.messages, PD_MESSAGE_INFO, "a", "%s", name);
	assert_non_null(strstr(heard.text,
			       "\"message\":\"a\\u000a<0>b\\u000d\\u0009\\u001b[31m\\u007f\\u009b\\ufffd"
			       "\xc3\xa4\\\"\\\\\"}"));
	/* The largest there can be: cut, and still one line. */
	memset(longest, 1, sizeof longest - 1);
	pd_message(&heard.messages, PD_MESSAGE_INFO, "a", "%s", longest);
	heard.messages.format = PD_MESSAGE_TEXT;
	pd_message(&heard.messages, PD_MESSAGE_INFO, "a", "%s", longest);
	assert_int_equal(heard.lines, 4);
	tear_down(&heard);
}

static void test_limits(void **state)
{
	static struct heard heard;

	(void)state;
	set_up(&heard, PD_MESSAGE_TEXT, PD_OS_STREAM_TERMINAL);
	for (unsigned i = 0; i < 1000; i++)
		pd_message(&heard.messages, PD_MESSAGE_WARNING, "resp", "client %u is rude", i);
	assert_int_equal(heard.lines, PD_MESSAGE_BURST);
	/* Another place is not concerned. */
	pd_message(&heard.messages, PD_MESSAGE_INFO, "resp", "all is well");
	assert_int_equal(heard.lines, PD_MESSAGE_BURST + 1);
	pd_messages_tick(&heard.messages);
	assert_int_equal(heard.lines, PD_MESSAGE_BURST + 1);
	pd_sim_advance_us(heard.os, PD_MESSAGE_WHILE_S * UINT64_C(1000000));
	pd_messages_tick(&heard.messages);
	assert_int_equal(heard.lines, PD_MESSAGE_BURST + 2);
	assert_string_equal(
		heard.text,
		"resp: warning: suppressed 970 more lines like the last one of 'client %u is rude'");
	pd_messages_tick(&heard.messages);
	assert_int_equal(heard.lines, PD_MESSAGE_BURST + 2);
	pd_message(&heard.messages, PD_MESSAGE_WARNING, "resp", "client %u is rude", 1000u);
	assert_int_equal(heard.lines, PD_MESSAGE_BURST + 3);
	assert_int_equal(heard.messages.suppressed, 970);
	tear_down(&heard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
