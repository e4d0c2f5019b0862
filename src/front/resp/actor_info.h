/* What is known of an actor, as PD.ACTOR INFO tells it: for whoever has an engine to ask, and no server. */
#ifndef PD_FRONT_RESP_ACTOR_INFO_H
#define PD_FRONT_RESP_ACTOR_INFO_H

struct pd_actor_info;
struct pd_resp_writer;

/* A map. */
void pd_resp_write_actor_info(struct pd_resp_writer *reply, const struct pd_actor_info *info);

#endif
