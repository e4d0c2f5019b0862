/* Requests as operators see them: in the slow log, and through MONITOR. What is secret is not shown. */
#ifndef PD_FRONT_RESP_SHOW_H
#define PD_FRONT_RESP_SHOW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "front/resp/registry.h"

struct pd_buffer;
struct pd_resp_client;

#define PD_RESP_MONITORS_MAX 16

/* words[i], or "(redacted)". */
struct pd_slice pd_resp_shown_word(const struct pd_resp_entry *entry, const struct pd_slice *words, size_t i);

/* This request has been run: tell those who watch, if it may be watched. `within`: the client's own reply is not kept yet, so
 * nothing may be put behind it; should it watch itself, it does not see this. */
void pd_resp_show(struct pd_resp_client *client, const struct pd_resp_entry *entry,
		  const struct pd_slice *words, size_t count, bool within);
/* The client watches from now on. PD_TOO_LARGE: PD_RESP_MONITORS_MAX do already. */
PD_MUST_CHECK int pd_resp_show_to(struct pd_resp_client *client);
/* It does not any more, if it did. */
void pd_resp_show_no_more(struct pd_resp_client *client);

#endif
