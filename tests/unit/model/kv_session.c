/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "unit/model/kv_session.h"

void kv_session_init(struct kv_session *session)
{
	*session = (struct kv_session){ .txn = pd_fake_txn_new(), .protocol = 2 };
	pd_buffer_init(&session->words, 64 * 1024 * 1024);
	pd_buffer_init(&session->reply, 64 * 1024 * 1024);
}

void kv_session_done(struct kv_session *session)
{
	pd_fake_txn_free(session->txn);
	pd_buffer_done(&session->words);
	pd_buffer_done(&session->reply);
}

static const struct pd_command *find_command(struct pd_slice name)
{
	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (pd_slice_equal_nocase(name, pd_kv_commands[i].name))
			return &pd_kv_commands[i];
	return NULL;
}

/* "object" "encoding" is "object|encoding", if that is there. */
static const struct pd_command *find_called(const struct pd_slice *words, size_t count)
{
	const struct pd_command *command = NULL;
	char name[100];

	if (count > 1 && words[0].size + words[1].size < sizeof name - 2) {
		int size = snprintf(name, sizeof name, "%.*s|%.*s", (int)words[0].size,
				    (const char *)words[0].data, (int)words[1].size,
				    (const char *)words[1].data);

		command = find_command(pd_slice(name, (size_t)size));
	}
	return command != NULL ? command : find_command(words[0]);
}

static bool arity_fits(const struct pd_command *command, size_t count)
{
	return command->arity >= 0 ? count == (size_t)command->arity : count >= (size_t)-command->arity;
}

const char *kv_run_words(struct kv_session *session, const struct pd_slice *words, size_t count)
{
	struct pd_resp_writer writer = { .buffer = &session->reply, .protocol = session->protocol };
	const struct pd_command *command = find_called(words, count);
	struct pd_call call = {
		.txn = session->txn, .command = command, .words = words, .count = count, .reply = &writer
	};
	size_t kept = 0;

	pd_buffer_clear(&session->reply);
	session->code = 0;
	pd_fake_txn_next(session->txn);
	assert_non_null(command);
	if (arity_fits(command, count))
		session->code = command->evaluate(&call);
	else
		pd_resp_write_errorf(&writer, "ERR wrong number of arguments for '%s' command",
				     command->name);
	assert_true(session->code <= 0);
	if (session->code < 0)
		pd_buffer_clear(&session->reply);
	else /* exactly one reply, well-formed */
		assert_int_equal(pd_resp_reply_size(session->reply.data, session->reply.size),
				 session->reply.size);
	for (size_t i = 0; i < session->reply.size; i++) {
		uint8_t byte = session->reply.data[i];

		if (byte != '\r')
			session->reply.data[kept++] = byte == '\n' ? '|' : byte;
	}
	session->reply.size = kept;
	assert_int_equal(pd_buffer_append(&session->reply, "", 1), 0);
	return (const char *)session->reply.data;
}

static unsigned hexadecimal(const char digits[2])
{
	const char text[3] = { digits[0], digits[1], '\0' };

	return (unsigned)strtoul(text, NULL, 16);
}

const char *kv_run(struct kv_session *session, const char *line)
{
	struct pd_slice words[KV_WORDS_MAX];
	size_t sizes[KV_WORDS_MAX];
	size_t count = 0, at = 0;

	pd_buffer_clear(&session->words);
	while (*line != '\0') {
		bool quoted = *line == '"';
		size_t begin = session->words.size;

		assert_true(count < KV_WORDS_MAX);
		line += quoted;
		while (*line != '\0' && *line != (quoted ? '"' : ' ')) {
			char byte = *line++;

			if (byte == '\\' && *line == 'x') {
				byte = (char)hexadecimal(line + 1);
				line += 3;
			}
			assert_int_equal(pd_buffer_append(&session->words, &byte, 1), 0);
		}
		line += quoted && *line == '"';
		while (*line == ' ')
			line++;
		sizes[count++] = session->words.size - begin;
	}
	for (size_t i = 0; i < count; at += sizes[i++])
		words[i] = pd_slice(session->words.data + at, sizes[i]);
	return kv_run_words(session, words, count);
}

static void set_stage(struct kv_session *session, const char *line)
{
	if (strcmp(line, "@2") == 0 || strcmp(line, "@3") == 0) {
		session->protocol = line[1] - '0';
	} else if (strncmp(line, "@time ", 6) == 0) {
		uint64_t now = pd_txn_now_us(session->txn);

		pd_fake_txn_set_time_us(session->txn, now + strtoull(line + 6, NULL, 10) * 1000);
	} else if (strncmp(line, "@use", 4) == 0) {
		pd_fake_txn_use(session->txn, line[4] == '\0' ? "" : line + 5);
	} else if (strncmp(line, "@left ", 6) == 0) {
		char *end;
		uint64_t keys = strtoull(line + 6, &end, 10);
		uint64_t fields = strtoull(end, NULL, 10);

		assert_int_equal(pd_fake_txn_count(session->txn, PD_SPACE_KEY), keys);
		assert_int_equal(pd_fake_txn_count(session->txn, PD_SPACE_FIELD), fields);
	} else if (strncmp(line, "@large ", 7) == 0) {
		char *end;
		uint64_t least = strtoull(line + 7, &end, 10);

		pd_fake_txn_set_large(session->txn, least, strtoull(end, NULL, 10));
	} else if (strncmp(line, "@room ", 6) == 0) {
		pd_fake_txn_set_room(session->txn, strtoull(line + 6, NULL, 10));
	} else if (strncmp(line, "@chunks ", 8) == 0) {
		assert_int_equal(pd_fake_txn_count(session->txn, PD_SPACE_CHUNK),
				 strtoull(line + 8, NULL, 10));
	} else {
		fail_msg("%s: no such direction", line);
	}
}

static void check(const struct kv_case *cases, size_t count, bool small_chunks)
{
	struct kv_session session;

	kv_session_init(&session);
	if (small_chunks)
		pd_fake_txn_set_large(session.txn, 4, 3);
	for (size_t i = 0; i < count; i++) {
		const char *reply;

		if (cases[i].line[0] == '@') {
			set_stage(&session, cases[i].line);
			continue;
		}
		reply = kv_run(&session, cases[i].line);
		if (small_chunks && strncmp(cases[i].line, "OBJECT", 6) == 0)
			continue; /* large strings are "raw" */
		if (session.code != 0 || strcmp(reply, cases[i].reply) != 0)
			fail_msg("%s\n  gave     %s (code %d)\n  expected %s", cases[i].line, reply,
				 session.code, cases[i].reply);
	}
	kv_session_done(&session);
}

void kv_check(const struct kv_case *cases, size_t count)
{
	/* However strings are kept, they are the same to whoever asks. */
	check(cases, count, false);
	check(cases, count, true);
}
