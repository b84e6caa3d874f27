// Run from the top of the repository, so that tests/web is linted with the same rules.
import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/node_modules/"] },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
      "no-shadow-restricted-names": "error",
      "no-implicit-globals": "error",
      "no-self-compare": "error",
      "no-unneeded-ternary": "error",
      "no-unused-vars": ["error", { args: "after-used", ignoreRestSiblings: true }],
      "no-useless-rename": "error",
      "object-shorthand": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
    },
  },
  {
    files: ["services/gateway/web/**/*.js"],
    languageOptions: { globals: globals.browser },
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector: "TemplateLiteral TemplateLiteral",
          message: "What minifies the modules (http/pages/static_files.py) knows no template within a template.",
        },
        {
          selector: "Literal[raw=/\\x60/]",
          message: "What minifies the modules (http/pages/static_files.py) takes a backquote for the edge of a template.",
        },
      ],
    },
  },
  {
    files: ["services/gateway/web/eslint.config.js", "tests/web/**"],
    languageOptions: { globals: { ...globals.node, ...globals.browser } },
  },
];
