/* What can be told of the past of a directory that nobody serves: whole replies, or words. */
#ifndef PD_TESTS_FUZZ_LOOK_BACK_H
#define PD_TESTS_FUZZ_LOOK_BACK_H

#include "engine/manifest.h"
#include "history/answer.h"
#include "history/source.h"
#include "input.h"
#include "os/os.h"

static inline void ask_history(struct pd_history *history, const char *const *asked, struct pd_buffer *reply)
{
	struct pd_resp_writer writer = { .buffer = reply, .protocol = 3 };
	struct pd_history_question question;
	struct pd_error err = { 0 };
	struct pd_slice words[4];
	size_t count = 0;

	for (; count < 4 && asked[count] != NULL; count++)
		words[count] = pd_slice_string(asked[count]);
	pd_buffer_clear(reply);
	PD_ASSERT(pd_history_question_parse(words, count, &question, &err) == 0);
	question.tenant = pd_slice_string("default");
	if (pd_history_answer(history, &question, &writer, &err) == 0)
		PD_ASSERT(pd_resp_reply_size(reply->data, reply->size) == reply->size);
	else
		PD_ASSERT(err.text[0] != '\0');
	pd_history_question_done(&question);
}

/* Of the actors of the target, and one that most logs have. */
static inline void look_back(struct pd_os *os)
{
	static const char *const questions[][5] = { { "HISTORY", "a0" },      { "BLAME", "a1", "k1" },
						    { "GET", "a2", "k2" },    { "GET", "a0", "k3" },
						    { "HISTORY", "main" },    { "GET", "main", "a" },
						    { "BLAME", "main", "h" }, { "REPLAY", "a0" } };
	struct pd_history_options options = { .os = os, .data_directory = "data" };
	struct pd_error err = { 0 };
	struct pd_manifest manifest;
	struct pd_history *history;
	struct pd_buffer reply;

	if (pd_manifest_read(os, "data", &manifest, &err) != 0)
		return;
	memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	if (pd_history_open(&options, &history, &err) != 0) {
		PD_ASSERT(err.text[0] != '\0');
		return;
	}
	pd_buffer_init(&reply, 1 << 26);
	for (unsigned i = 0; i < sizeof questions / sizeof questions[0]; i++)
		ask_history(history, questions[i], &reply);
	pd_buffer_done(&reply);
	pd_history_close(history);
}

#endif
