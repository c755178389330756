// Shows what changed, every two seconds while the page is looked at and nothing in it has the focus.
setInterval(async () => {
  if (document.hidden || document.querySelector("main :focus")) return;
  const answer = await fetch("/").catch(() => null);
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceWith(fresh.querySelector("main"));
}, 2000);
