/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-group: the functions of one endpoint
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/timer.h"
#include "epf-group.h"
#include "trace.h"

struct EpfGroup {
    char *path, *name;
    EpfClientConfig cfg;
    void (*changed)(void *opaque);
    void *opaque;
    EpfClient *client[EPF_MAX_FUNCTIONS];   /* NULL: not needed so far */
    QEMUTimer *late;        /* a sibling should be there by then */
    EpfLink *waiting;       /* of function 0, as long as siblings are missing */
    uint32_t missing;       /* siblings, as bits */
};

static char *function_path(EpfGroup *g, unsigned func)
{
    return g_strdup_printf("%s.%u", g->path, func);
}

static EpfClient *add_client(EpfGroup *g, unsigned func)
{
    g_autofree char *path = function_path(g, func);
    g_autofree char *name = g_strdup_printf("%s.%u", g->name, func);
    EpfClientConfig cfg = g->cfg;

    cfg.path = path;
    cfg.name = name;
    cfg.func = func;
    cfg.first = g->client[0];
    return epf_client_new(&cfg, g->changed, g->opaque);
}

/* Has those connect that function 0 names, and no others. */
static void want_clients(EpfGroup *g, uint32_t functions)
{
    for (unsigned i = 1; i < EPF_MAX_FUNCTIONS; i++) {
        bool want = functions & BIT(i);

        if (want && !g->client[i]) {
            g->client[i] = add_client(g, i);
            epf_client_start(g->client[i]);
        }
        if (g->client[i]) {
            epf_client_want(g->client[i], want);
        }
    }
}

static void stop_waiting(EpfGroup *g)
{
    timer_del(g->late);
    epf_link_unref(g->waiting);
    g->waiting = NULL;
}

static void wait_for_missing(EpfGroup *g, EpfLink *first)
{
    if (g->waiting != first) {
        stop_waiting(g);
        g->waiting = epf_link_ref(first);
        /* One deadline to connect and one to describe itself */
        timer_mod(g->late, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                  2 * g->cfg.deadline_ms);
    }
}

static void report_missing(void *opaque)
{
    EpfGroup *g = opaque;
    g_autoptr(GString) list = g_string_new(NULL);

    for (unsigned i = 1; i < EPF_MAX_FUNCTIONS; i++) {
        if (g->missing & BIT(i)) {
            g_string_append_printf(list, "%s%u", list->len ? ", " : "", i);
        }
    }
    epf_client_report(g->client[0], "the endpoint is not shown, since it has "
                      "functions that did not come up: %s; see whether the "
                      "endpoint serves '%s.N' for each of them and no other "
                      "host uses it", list->str, g->path);
}

void epf_group_get_links(EpfGroup *g, EpfLink *links[EPF_MAX_FUNCTIONS])
{
    EpfLink *first = epf_client_get_link(g->client[0]);

    memset(links, 0, EPF_MAX_FUNCTIONS * sizeof(links[0]));
    links[0] = first;
    g->missing = 0;
    if (first) {
        want_clients(g, first->functions);
    }
    for (unsigned i = 1; first && i < EPF_MAX_FUNCTIONS; i++) {
        if (first->functions & BIT(i)) {
            links[i] = epf_client_get_link(g->client[i]);
            if (!links[i] || links[i]->functions != first->functions) {
                g->missing |= BIT(i);
            }
        }
    }
    if (g->missing) {
        wait_for_missing(g, first);
        epf_group_put_links(links);
    } else {
        stop_waiting(g);
    }
}

void epf_group_put_links(EpfLink *links[EPF_MAX_FUNCTIONS])
{
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        epf_link_unref(links[i]);
        links[i] = NULL;
    }
}

EpfClient *epf_group_client(EpfGroup *g)
{
    return g->client[0];
}

uint64_t epf_group_messages(EpfGroup *g)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        n += g->client[i] ? epf_client_messages(g->client[i]) : 0;
    }
    return n;
}

uint64_t epf_group_interrupts(EpfGroup *g)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        n += g->client[i] ? epf_client_interrupts(g->client[i]) : 0;
    }
    return n;
}

EpfGroup *epf_group_new(const EpfClientConfig *cfg,
                        void (*changed)(void *opaque), void *opaque)
{
    EpfGroup *g = g_new0(EpfGroup, 1);

    g->path = g_strdup(cfg->path);
    g->name = g_strdup(cfg->name);
    g->cfg = *cfg;
    g->cfg.path = g->path;
    g->cfg.name = g->name;
    g->changed = changed;
    g->opaque = opaque;
    g->late = timer_new_ms(QEMU_CLOCK_REALTIME, report_missing, g);
    g->client[0] = epf_client_new(&g->cfg, changed, opaque);
    return g;
}

void epf_group_start(EpfGroup *g)
{
    epf_client_want(g->client[0], true);
    epf_client_start(g->client[0]);
}
