/* What the HTTP door tells: /livez, /readyz, /health, /metrics. */
#ifndef PD_SERVER_PAGES_H
#define PD_SERVER_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "front/http/front.h"
#include "server/metrics.h"

/* Why requests are not served, in the order in which it is told. */
enum pd_readiness {
	PD_READY,
	PD_READY_READS_ONLY, /* the disk is full: reads are served, writes are refused */
	PD_NOT_READY_RECOVERING,
	PD_NOT_READY_DRAINING,
	PD_NOT_READY_FENCED,
};

/* What the pages are made of: kept by the server, looked at by the pages only. */
struct pd_pages_source {
	/* Bring facts up to date; quick. */
	void (*look)(void *server, struct pd_metrics_facts *ret_facts);
	/* The same for readiness alone, at once. */
	enum pd_readiness (*readiness)(void *server);
	void *server;
	struct pd_metrics_facts facts;
};

/* Their `context` is a struct pd_pages_source. */
extern const struct pd_http_route pd_pages[];

#endif
