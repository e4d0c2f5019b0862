#include "cli/past.h"

#include <stdio.h>
#include <string.h>

#include "engine/manifest.h"
#include "history/answer.h"
#include "server/server.h"

#define WORDS_MAX 15u
#define REPLY_MAX ((size_t)256 * 1024 * 1024)

/* Nobody serves the directory: it can be read as it is. */
static int open_directory(struct pd_cli_past *past, const char *data, struct pd_error *err)
{
	struct pd_history_options options = { .os = past->admin.os, .data_directory = data };
	struct pd_manifest manifest;
	int result = pd_manifest_read(past->admin.os, data, &manifest, err);

	if (result == PD_NOT_FOUND)
		return pd_error_set(err, result,
				    "%s is no data directory of Perdure; say with --data where the server "
				    "keeps its data",
				    data);
	if (result != 0)
		return result;
	memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	return pd_history_open(&options, &past->history, err);
}

/* The server answers in protocol 3, whose maps are told from lists. */
static int greet(struct pd_cli_past *past, struct pd_error *err)
{
	const char *words[] = { "HELLO", "3", NULL };
	struct pd_slice reply;
	int result = pd_admin_ask(&past->admin, words, &reply, err);

	past->admin.link.patience_s = 0; /* what is asked may take long, where the actor did much */
	return result;
}

int pd_cli_past_begin(struct pd_cli_past *past, const struct pd_options *options, const char *data)
{
	struct pd_error err = { 0 };
	struct pd_os *os;
	int result;

	*past = (struct pd_cli_past){ 0 };
	pd_link_init(&past->admin.link);
	pd_buffer_init(&past->reply, REPLY_MAX);
	result = pd_os_real_new(&os, &err);
	if (result == 0) {
		result = pd_admin_open(&past->admin, os, data, &err);
		if (result == PD_NOT_FOUND)
			result = open_directory(past, data, &err);
		else if (result == 0)
			result = greet(past, &err);
	}
	if (result == 0)
		return PD_EXIT_OK;
	(void)fprintf(stderr, "%s: %s\n", options->command, err.text);
	return pd_server_exit_status(result);
}

static int ask_directory(struct pd_cli_past *past, const char *const *words, struct pd_error *err)
{
	struct pd_resp_writer writer = { .buffer = &past->reply, .protocol = 3 };
	struct pd_history_question question;
	struct pd_slice slices[WORDS_MAX];
	size_t count = 0;
	int result;

	for (; words[count] != NULL && count < WORDS_MAX; count++)
		slices[count] = pd_slice_string(words[count]);
	pd_buffer_clear(&past->reply);
	result = pd_history_question_parse(slices, count, &question, err);
	question.tenant = pd_slice_string("default");
	if (result == 0)
		result = pd_history_answer(past->history, &question, &writer, err);
	if (result == 0 && writer.failed != 0)
		result = pd_error_set(err, writer.failed, "out of memory for an answer");
	pd_history_question_done(&question);
	return result;
}

int pd_cli_past_ask(struct pd_cli_past *past, const char *const *words, struct pd_slice *ret_reply,
		    struct pd_error *err)
{
	const char *sent[WORDS_MAX + 2] = { "PD.ACTOR" };
	int result;

	if (past->history == NULL) {
		for (size_t i = 0; words[i] != NULL && i < WORDS_MAX; i++)
			sent[i + 1] = words[i];
		return pd_admin_ask(&past->admin, sent, ret_reply, err);
	}
	result = ask_directory(past, words, err);
	*ret_reply = pd_buffer_slice(&past->reply);
	return result;
}

void pd_cli_past_end(struct pd_cli_past *past)
{
	pd_history_close(past->history);
	pd_buffer_done(&past->reply);
	pd_admin_end(&past->admin);
}
