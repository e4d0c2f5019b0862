#include "server/message.h"

#include <stdio.h>
#include <string.h>

#include "base/timestamp.h"
#include "base/utf8.h"
#include "os/os.h"

#define WHILE_US (UINT64_C(1000000) * PD_MESSAGE_WHILE_S)

const char *const pd_message_level_names[PD_MESSAGE_LEVEL_COUNT + 1] = { "error", "warning", "info", "debug",
									 NULL };
const char *const pd_message_format_names[PD_MESSAGE_FORMAT_COUNT + 1] = { "text", "json", NULL };

/* As syslog numbers them. */
static const int priorities[PD_MESSAGE_LEVEL_COUNT] = { 3, 4, 6, 7 };

struct message {
	enum pd_message_level level;
	const char *room;
	uint64_t connection; /* 0: about none */
	struct pd_slice text;
};

static void write_standard_error(void *context, const void *line, size_t size)
{
	(void)context;
	pd_os_write_standard_error(line, size);
}

void pd_messages_init(struct pd_messages *messages, struct pd_os *os, enum pd_message_format format,
		      enum pd_message_level level)
{
	*messages = (struct pd_messages){ .os = os,
					  .format = format,
					  .level = level,
					  .stream = pd_os_standard_error(),
					  .write = write_standard_error };
}

/* ---- lines ---- */

/* Empty where there is no clock. */
static void format_now(const struct pd_messages *messages, unsigned digits, char text[PD_TIMESTAMP_SIZE])
{
	text[0] = '\0';
	if (messages->os != NULL)
		pd_timestamp_format(pd_os_real_us(messages->os), digits, text);
}

static int put_text(const struct pd_messages *messages, const struct message *message, struct pd_buffer *line)
{
	const char *name = pd_message_level_names[message->level];
	char time[PD_TIMESTAMP_SIZE];
	int result = 0;

	if (messages->stream == PD_OS_STREAM_JOURNAL) {
		result = pd_buffer_printf(line, "<%d>", priorities[message->level]);
	} else if (messages->stream == PD_OS_STREAM_OTHER) {
		format_now(messages, 3, time);
		result = pd_buffer_printf(line, "%s%s", time, time[0] != '\0' ? " " : "");
	}
	if (result == 0)
		result = pd_buffer_printf(line, "%s: %s%s", message->room,
					  message->level != PD_MESSAGE_INFO ? name : "",
					  message->level != PD_MESSAGE_INFO ? ": " : "");
	if (result == 0)
		result = pd_append_line(line, message->text);
	if (result == 0 && message->connection != 0)
		result = pd_buffer_printf(line, " (connection %llu)",
					  (unsigned long long)message->connection);
	return result;
}

static int put_json(const struct pd_messages *messages, const struct message *message, struct pd_buffer *line)
{
	char time[PD_TIMESTAMP_SIZE];
	int result = 0;

	format_now(messages, 6, time);
	if (messages->stream == PD_OS_STREAM_JOURNAL)
		result = pd_buffer_printf(line, "<%d>", priorities[message->level]);
	if (result == 0)
		result = pd_buffer_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"room\":\"%s\",", time,
					  pd_message_level_names[message->level], message->room);
	if (result == 0 && message->connection != 0)
		result = pd_buffer_printf(line, "\"connection\":%llu,",
					  (unsigned long long)message->connection);
	if (result == 0)
		result = pd_buffer_append_slice(line, pd_slice_string("\"message\":"));
	if (result == 0)
		result = pd_append_json_string(line, message->text);
	return result == 0 ? pd_buffer_append(line, "}", 1) : result;
}

static void put(const struct pd_messages *messages, const struct message *message)
{
	struct pd_buffer line;
	int result;

	pd_buffer_init(&line, PD_MESSAGE_LINE);
	result = messages->format == PD_MESSAGE_JSON ? put_json(messages, message, &line)
						     : put_text(messages, message, &line);
	if (result == 0)
		result = pd_buffer_append(&line, "\n", 1);
	if (result == 0)
		messages->write(messages->context, line.data, line.size);
	pd_buffer_done(&line);
}

/* ---- too many ---- */

/* The site of a place: its own, or where there are too many of them, one that it shares. */
static struct pd_message_site *find_site(struct pd_messages *messages, const char *format)
{
	size_t start = ((uintptr_t)format >> 3) % PD_MESSAGE_SITES;

	for (size_t i = 0; i < PD_MESSAGE_SITES; i++) {
		struct pd_message_site *site = messages->sites + (start + i) % PD_MESSAGE_SITES;

		if (site->format == NULL || site->format == format)
			return site;
	}
	return messages->sites + start;
}

static void tell_suppressed(struct pd_messages *messages, struct pd_message_site *site)
{
	char text[160];
	struct message message = { .level = site->level, .room = site->room };

	(void)snprintf(text, sizeof text, "suppressed %llu more lines like the last one of '%.60s'",
		       (unsigned long long)site->suppressed, site->format);
	site->suppressed = 0;
	message.text = pd_slice_string(text);
	put(messages, &message);
}

/* A while is over: what was not said in it is told as a number. */
static void renew(struct pd_messages *messages, struct pd_message_site *site, uint64_t now_us)
{
	if (now_us - site->since_us < WHILE_US)
		return;
	if (site->suppressed > 0)
		tell_suppressed(messages, site);
	site->since_us = now_us;
	site->said = 0;
}

static bool may_say(struct pd_messages *messages, enum pd_message_level level, const char *room,
		    const char *format)
{
	struct pd_message_site *site;
	uint64_t now_us;

	if (level > messages->level)
		return false;
	if (messages->os == NULL)
		return true;
	now_us = pd_os_monotonic_ns(messages->os) / 1000;
	site = find_site(messages, format);
	if (site->format == NULL)
		*site = (struct pd_message_site){ .since_us = now_us };
	renew(messages, site, now_us);
	site->format = format;
	site->room = room;
	site->level = level;
	if (site->said < PD_MESSAGE_BURST) {
		site->said++;
		return true;
	}
	site->suppressed++;
	messages->suppressed++;
	return false;
}

void pd_messages_tick(struct pd_messages *messages)
{
	uint64_t now_us = pd_os_monotonic_ns(messages->os) / 1000;

	for (size_t i = 0; i < PD_MESSAGE_SITES; i++)
		if (messages->sites[i].suppressed > 0)
			renew(messages, messages->sites + i, now_us);
}

/* ---- saying ---- */

static void say(struct pd_messages *messages, struct message *message, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));

static void say(struct pd_messages *messages, struct message *message, const char *format, va_list arguments)
{
	char text[PD_MESSAGE_SIZE];

	if (!may_say(messages, message->level, message->room, format))
		return;
	(void)vsnprintf(text, sizeof text, format, arguments);
	message->text = pd_slice_string(text);
	put(messages, message);
}

void pd_message(struct pd_messages *messages, enum pd_message_level level, const char *room,
		const char *format, ...)
{
	struct message message = { .level = level, .room = room };
	va_list arguments;

	va_start(arguments, format);
	say(messages, &message, format, arguments);
	va_end(arguments);
}

void pd_message_about(struct pd_messages *messages, enum pd_message_level level, const char *room,
		      uint64_t connection, const char *format, ...)
{
	struct message message = { .level = level, .room = room, .connection = connection };
	va_list arguments;

	va_start(arguments, format);
	say(messages, &message, format, arguments);
	va_end(arguments);
}
