#include "front/resp/figures.h"

#include "front/resp/front_private.h"

const char *const pd_resp_class_names[PD_RESP_CLASS_COUNT] = { "read", "write", "admin", "other" };

static void add_stalled(const struct pd_resp_client *client, struct pd_resp_figures *figures)
{
	/* One client counts once: by what keeps it waiting longest. */
	if ((client->stall & PD_RESP_STALL_MEMORY) != 0)
		figures->stalled_memory++;
	else if ((client->stall & PD_RESP_STALL_UNSENT) != 0)
		figures->stalled_unsent++;
	else if ((client->stall & PD_RESP_STALL_BRAKE) != 0)
		figures->stalled_brake++;
	else
		figures->stalled_other++;
}

void pd_resp_front_figures(const struct pd_resp_front *front, struct pd_resp_figures *ret_figures)
{
	*ret_figures = (struct pd_resp_figures){
		.counters = front->counters,
		.clients = front->client_count,
		.operators = front->operator_count,
		.memory_bytes = front->memory.used,
		.memory_max = front->memory.max != UINT64_MAX ? front->memory.max : 0,
		.refused_clients = front->memory.refused_clients,
		.closed_clients = front->memory.closed_clients,
		.refused_requests = front->memory.refused_requests,
	};
	if (front->options.logins != NULL)
		pd_logins_stats(front->options.logins, &ret_figures->logins);
	for (size_t i = 0; i < front->holding.count; i++)
		ret_figures->holding += front->holding.items[i] != NULL;
	for (size_t i = 0; i < front->stalled.count; i++)
		if (front->stalled.items[i] != NULL)
			add_stalled(front->stalled.items[i], ret_figures);
}
