// A piece of a page. NiceGUI mounts it; the rest of the folder fills it.
import { fill } from "/assets/console.js";

export default {
  template: "<div></div>",
  props: { part: String, panel: String },
  mounted() {
    this.empty = fill(this.$el, this.part, this.panel);
  },
  unmounted() {
    this.empty?.();
  },
};
