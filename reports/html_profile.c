/* html_profile.c - the profiles of failed cases: which operation, which layer, which positions. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_SHOWN = 4, MAX_ROWS = 400 };

/* Cases that fail in the same place of the same engine make the same picture: one is shown. */
static bool is_alike(const mv_case_result *a, const mv_case_result *b)
{
    return a->divergence_layer == b->divergence_layer && a->compute == b->compute &&
           strcmp(a->divergence_op, b->divergence_op) == 0 && strcmp(a->backend, b->backend) == 0;
}

/* The first case of each kind. Returns how many; *n_profiles is how many there are of all. */
static size_t choose(const mv_verify_results *results, const mv_case_result *chosen[MAX_SHOWN],
                     size_t *n_profiles)
{
    size_t n = 0;
    *n_profiles = 0;
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        if (one->divergence == NULL || one->divergence->n_steps == 0) {
            continue;
        }
        bool is_new = n < MAX_SHOWN;
        for (size_t c = 0; c < n; c++) {
            is_new = is_new && !is_alike(chosen[c], one);
        }
        if (is_new) {
            chosen[n++] = one;
        }
        (*n_profiles)++;
    }
    return n;
}

static void put_title(mv_bytes *bytes, const mv_case_result *one)
{
    mv_bytes_text(bytes, "<h4>");
    mv_html_put(bytes, one->suite);
    mv_bytes_text(bytes, " / ");
    mv_html_put(bytes, one->name);
    mv_bytes_text(bytes, " ");
    mv_html_element(bytes, "span", "chip", one->backend);
    mv_bytes_print(bytes, " <span class=\"chip\">%s</span>", mv_compute_word(one->compute));
    if (one->window >= 0) {
        mv_bytes_print(bytes, " <span class=\"chip\">window %" PRId64 "</span>", one->window);
    }
    mv_bytes_text(bytes, "</h4>\n");
}

static void put_step_table(mv_bytes *bytes, const mv_divergence *profile, const char *label)
{
    mv_html_table(bytes, label, "layer|operation|#error / limit");
    for (size_t i = 0; i < profile->n_steps && i < MAX_ROWS; i++) {
        const mv_divergence_step *step = &profile->steps[i];
        mv_bytes_text(bytes, "<tr>");
        if (step->layer >= 0) {
            mv_html_cell_integer(bytes, step->layer);
        } else {
            mv_html_cell(bytes, "outside");
        }
        mv_html_cell(bytes, step->op);
        mv_html_element(bytes, "td", "n", mv_times_limit(step->times_limit).text);
        mv_bytes_text(bytes, "</tr>\n");
    }
    mv_html_table_end(bytes);
    if (profile->n_steps > MAX_ROWS) {
        mv_bytes_print(bytes, "<p>... and %zu more, in the data.</p>\n",
                       profile->n_steps - MAX_ROWS);
    }
}

static void put_row_table(mv_bytes *bytes, const mv_divergence *profile, const char *label)
{
    mv_html_table(bytes, label, "layer|#worst error / limit|#at position|over the limit at");
    for (size_t r = 0; r <= profile->n_rows; r++) {
        if (mv_row_is_played(profile, r)) {
            const size_t worst = mv_divergence_worst(profile, r);
            const mv_row_text places = mv_divergence_places(profile, r);
            mv_bytes_text(bytes, "<tr>");
            mv_html_cell(bytes, mv_row_name(profile, r).text);
            mv_html_element(bytes, "td", "n", mv_times_limit(profile->times_limit[r][worst]).text);
            mv_html_element(bytes, "td", "n", mv_bin_name(profile, worst).text);
            mv_html_cell(bytes, places.text[0] != '\0' ? places.text : "nowhere");
            mv_bytes_text(bytes, "</tr>\n");
        }
    }
    mv_html_table_end(bytes);
}

static void put_case(mv_html *html, const mv_case_result *one)
{
    const mv_divergence *profile = one->divergence;
    mv_bytes *body = &html->body;
    mv_bytes finding = {0};
    char label[256];
    put_title(body, one);
    mv_bytes_text(body, "<div class=\"figures\">\n");
    (void)snprintf(label, sizeof label, "error of each operation against its limit, %s / %s",
                   one->suite, one->name);
    mv_html_put(&finding, mv_divergence_steps_finding(profile).text);
    mv_html_figure(html, &finding, label);
    mv_svg_divergence_steps(body, profile, label);
    mv_html_figure_data(html);
    put_step_table(body, profile, label);
    mv_html_figure_end(html);
    mv_bytes_free(&finding);
    (void)snprintf(label, sizeof label, "error of each layer by position, %s / %s", one->suite,
                   one->name);
    mv_html_put(&finding, mv_divergence_map_finding(profile, one->window).text);
    mv_html_figure(html, &finding, label);
    mv_svg_divergence_map(body, profile, one->window, label);
    mv_html_figure_data(html);
    put_row_table(body, profile, label);
    mv_html_figure_end(html);
    mv_bytes_free(&finding);
    mv_bytes_text(body, "</div>\n");
}

void mv_html_verify_profiles(mv_html *html, const mv_verify_results *results)
{
    const mv_case_result *chosen[MAX_SHOWN];
    size_t n_profiles;
    const size_t n = choose(results, chosen, &n_profiles);
    if (n == 0) {
        return;
    }
    mv_html_section(html, "profile", "First divergence, operation by operation");
    mv_bytes_text(&html->body,
                  "<p>The failed case was played once more, and each operation was given the "
                  "oracle's input: what is over its limit here is wrong by itself, and not because "
                  "of what came before it.</p>\n");
    for (size_t i = 0; i < n; i++) {
        put_case(html, chosen[i]);
    }
    if (n_profiles > n) {
        mv_bytes_print(&html->body,
                       "<p>Shown is one case of each engine and first wrong operation, and at most "
                       "%d; the profile%s of %zu more %s in the data "
                       "(<code>divergence_profile</code>).</p>\n",
                       MAX_SHOWN, n_profiles - n == 1 ? "" : "s", n_profiles - n,
                       n_profiles - n == 1 ? "is" : "are");
    }
    mv_html_section_end(html);
}
