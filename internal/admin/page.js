// Fetches this page every 2 s and puts its <main> in place of the shown one. It rests
// while nobody looks and while somebody has text selected.
(() => {
  const selecting = () => !(getSelection()?.isCollapsed ?? true);
  const refresh = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(answer.status);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!selecting()) {
        document.querySelector("main").replaceWith(next.querySelector("main"));
        document.title = next.title;
      }
      document.body.classList.remove("old");
    } catch {
      document.body.classList.add("old");
    }
  };
  const turn = async () => {
    if (!document.hidden && !selecting()) await refresh();
    setTimeout(turn, 2000);
  };
  document.body.classList.add("live");
  setTimeout(turn, 2000);
})();
