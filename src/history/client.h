/* Who a client was: its texts stand in the log once in each segment, in the first record that it wrote there, whoever that was about.
 * Found by going over the segment's records; what was found is remembered. */
#ifndef PD_HISTORY_CLIENT_H
#define PD_HISTORY_CLIENT_H

#include "base/error.h"
#include "history/source.h"
#include "log/record.h"

struct pd_history_clients;

/* NULL: out of memory. */
struct pd_history_clients *pd_history_clients_new(struct pd_history *history);
void pd_history_clients_free(
	struct pd_history_clients *clients); /* NULL is fine; before the history is closed */
/* The texts of the client of this record, which a walk found in that segment; sizes 0: they are not known, or it is the server itself.
 * Valid until the next call. What reading fails with. */
PD_MUST_CHECK int pd_history_client(struct pd_history_clients *clients, const struct pd_record *record,
				    size_t segment, struct pd_slice *ret_principal, struct pd_slice *ret_text,
				    struct pd_error *err);

#endif
