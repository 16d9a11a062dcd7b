// The page in a frame; its messages become the state of the widget.
export default {
  render({ model, el }) {
    const frame = document.createElement("iframe");
    frame.srcdoc = model.get("page");
    frame.title = "tinyseq: a page that computes";
    frame.style.cssText = `width: 100%; height: ${model.get("height")}px; border: 1px solid #8884; border-radius: 8px`;
    const listen = (event) => {
      if (event.source !== frame.contentWindow || !event.data?.tinyseq) return;
      model.set("told", event.data.tinyseq);
      model.save_changes();
    };
    window.addEventListener("message", listen);
    el.append(frame);
    return () => window.removeEventListener("message", listen);
  },
};
