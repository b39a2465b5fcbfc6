/* html_method.c - how each number is made, and the words. */
#include "reports/html_parts.h"

typedef struct word {
    const char *name, *meaning;
} word;

static void put_words(mv_bytes *bytes, const word *words, size_t n)
{
    mv_bytes_text(bytes, "<dl class=\"words\">\n");
    for (size_t i = 0; i < n; i++) {
        mv_bytes_text(bytes, "<div>");
        mv_html_element(bytes, "dt", "", words[i].name);
        mv_html_element(bytes, "dd", "", words[i].meaning);
        mv_bytes_text(bytes, "</div>\n");
    }
    mv_bytes_text(bytes, "</dl>\n");
}

void mv_html_verify_method(mv_html *html)
{
    static const word words[] = {
        {"oracle",
         "The float64 run of the reference on the same weights and tokens. It stands for the "
         "truth."},
        {"R", "The error of an engine against the oracle, divided by the error that the reference "
              "itself makes in the same arithmetic. 1 is as far from the truth as an honest "
              "implementation. R rmse is over all logits, R row over the worst row, R max over the "
              "worst logit."},
        {"limit", "What R may be at most: measured from what harmless reorderings of the same "
                  "arithmetic do, not guessed."},
        {"headroom", "The least of limit / measured in a case. Below 1 the case fails."},
        {"window", "W: the keys that a query may see, itself included. Query i sees i-W+1 to i."},
        {"chunk",
         "The tokens given to one prefill call; whole: the prompt in one call; mixed: calls "
         "of several sizes."},
        {"effective window",
         "The number of keys that an engine was found to use: keys are changed one "
         "by one, and it is seen which ones still matter."},
        {"vacuous", "It ran, and showed nothing: nothing was compared, or never beyond the window. "
                    "Never a pass."},
        {"planted bug",
         "A copy of the reference with one known mistake. A suite that cannot see it is "
         "of no use."},
        {"benign run", "A legal reordering of the arithmetic, which must pass."},
    };
    mv_html_section(html, "method", "Method and words");
    mv_bytes_text(&html->body,
                  "<p>Every case runs one engine in one way (chunks, window, batch), collects its "
                  "logits, and compares them with the oracle's for the same tokens. Sums are in "
                  "float64. A value that is not finite fails its case.</p>\n");
    put_words(&html->body, words, sizeof words / sizeof *words);
    mv_html_section_end(html);
}
